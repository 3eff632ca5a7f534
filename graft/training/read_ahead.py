"""Reading what comes next on another thread, while this one works on what has come."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")
DEPTH = 2  # batches: one being read and one ready, beside the one that is worked on


@contextmanager
def read_ahead(read: Callable[[K], T], keys: Iterable[K]) -> Iterator[Iterator[T]]:
    """`read` of each key, in order, on one thread that is at most DEPTH ahead of who takes them.

    What `read` raises comes out in its place. Leaving waits for the read that is under way, and begins no other.
    """
    pool = ThreadPoolExecutor(1, "read-ahead")
    try:
        yield _taken(pool, read, iter(keys))
    finally:
        pool.shutdown(cancel_futures=True)


def _taken(pool: ThreadPoolExecutor, read: Callable[[K], T], keys: Iterator[K]) -> Iterator[T]:
    waiting: deque[Future[T]] = deque(pool.submit(read, key) for key in islice(keys, DEPTH))
    while waiting:
        done = waiting.popleft().result()
        waiting.extend(pool.submit(read, key) for key in islice(keys, 1))
        yield done
