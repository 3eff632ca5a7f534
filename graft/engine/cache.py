"""What was loaded, within a budget of bytes: each thing once, however many ask; the least recently used are let go."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from graft.engine.metrics import EngineMetrics

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True)
class Cached(Generic[T]):
    """A thing that is being loaded, was loaded, or could not be. started: by the monotonic clock, seconds."""

    future: Future[T]
    started: float

    def ended(self, within: float) -> bool:
        """Wait until it has, or until so many seconds after it began; whether it has."""
        if not self.future.done():
            wait([self.future], max(0.0, self.started + within - time.monotonic()))
        return self.future.done()


class Cache(Generic[K, T]):
    """Things by their keys. Safe to call from threads; a reader keeps what it was given, also when it is let go.

    load: makes a thing, in a thread of its own, so that a disk that hangs holds up nobody who asks for another one.
    nbytes: of a thing; memory_bytes: of all of them. What was loaded last stays, however large it is.
    """

    def __init__(
        self, load: Callable[[K], T], nbytes: Callable[[T], int], *, memory_bytes: int, metrics: EngineMetrics
    ) -> None:
        self._load = load
        self._size = nbytes
        self._memory_bytes = memory_bytes
        self._metrics = metrics
        self._things: OrderedDict[K, Cached[T]] = OrderedDict()  # what was used last comes last
        self._sizes: dict[K, int] = {}  # of what is loaded
        self._lock = threading.Lock()  # held to look and to note, never while a thing is loaded

    def __contains__(self, key: K) -> bool:
        """Whether it is there, so that nobody would wait."""
        with self._lock:
            return key in self._sizes

    def there(self) -> list[K]:
        """The keys of what is."""
        with self._lock:
            return [key for key in self._things if key in self._sizes]

    def fetch(self, key: K) -> Cached[T]:
        """What is there or on its way; else it begins to be loaded."""
        with self._lock:
            thing = self._things.get(key)
            if thing is None:
                thing = Cached(Future(), time.monotonic())
                threading.Thread(target=self._fill, args=(key, thing.future), name=f"load {key}", daemon=True).start()
                self._things[key] = thing
            self._things.move_to_end(key)
        return thing

    def forget(self, key: K) -> None:
        """Let one go that nobody will ask for again."""
        with self._lock:
            if key in self._sizes:
                self._drop(key)
                self._tell()

    def _fill(self, key: K, future: Future[T]) -> None:
        try:
            thing = self._load(key)
        except BaseException as error:
            with self._lock:
                del self._things[key]
            future.set_exception(error.with_traceback(None))  # its frames hold all that was read
            return
        with self._lock:
            self._things.move_to_end(key)
            self._sizes[key] = self._size(thing)
            self._make_room(key)
            self._tell()
            future.set_result(thing)

    def _make_room(self, newest: K) -> None:
        over = sum(self._sizes.values()) - self._memory_bytes
        for key in [key for key in self._things if key in self._sizes and key != newest]:
            if over <= 0:
                break
            over -= self._sizes[key]
            self._drop(key)
            self._metrics.evicted()

    def _drop(self, key: K) -> None:
        del self._things[key], self._sizes[key]

    def _tell(self) -> None:
        self._metrics.models(len(self._sizes), sum(self._sizes.values()))
