"""One queue in front of some threads: whatever waits when one of them is free runs as one batch."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from graft.engine.metrics import EngineMetrics
from graft.errors import Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Work = Callable[[Sequence[Item]], Sequence[Answer | Exception]]


@dataclass(eq=False)
class _Waiting(Generic[Item, Answer]):
    item: Item
    start_by: float  # on the monotonic clock
    since: float = field(default_factory=time.monotonic)
    answer: Future[Answer] = field(default_factory=Future)


class Batcher(Generic[Item, Answer]):
    """Runs items at most `batch_size` at a time, first come, first served. It waits on no clock.

    works: one callable for each batch that may run at a time; it gets the items of a batch and returns for each, in
    order, an answer or an exception. An error in it reaches every item of that batch, and the next batch runs. kind:
    items of different kinds share no batch.
    """

    def __init__(
        self,
        works: Sequence[Work[Item, Answer]],
        batch_size: int,
        *,
        metrics: EngineMetrics,
        kind: Callable[[Item], Hashable] = lambda _: None,
    ) -> None:
        self._batch_size = batch_size
        self._kind = kind
        self._metrics = metrics
        self._queue: deque[_Waiting[Item, Answer]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(work,), name=f"engine-{i}", daemon=True)
            for i, work in enumerate(works)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, items: Sequence[Item], start_by: float = float("inf")) -> list[Future[Answer]]:
        """Queue items, next to each other. Raises Unavailable once the batcher is closed.

        One is not run when its future was cancelled; nor after `start_by` (of `time.monotonic`), when its answer would
        come too late for whoever waits: it fails with TimeoutError.
        """
        queued: list[_Waiting[Item, Answer]] = [_Waiting(item, start_by) for item in items]
        with self._changed:
            if self._closed:
                self._metrics.rejected("stopping")
                raise Unavailable("Predictions are answered while the service runs; it is stopping. Ask again soon.")
            self._queue.extend(queued)
            self._metrics.waiting(len(self._queue))
            self._changed.notify_all()
        return [waiting.answer for waiting in queued]

    def close(self) -> None:
        """Answer what is queued, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self, work: Work[Item, Answer]) -> None:
        while batch := self._next():
            self._answer(batch, work)

    def _next(self) -> list[_Waiting[Item, Answer]]:
        """The next batch, at least one item; none once the batcher is closed and has no more."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return []
                taken = self._take()
                self._metrics.waiting(len(self._queue))
            if batch := [waiting for waiting in taken if self._begins(waiting)]:
                return batch

    def _take(self) -> list[_Waiting[Item, Answer]]:
        """The first in the queue, and those of its kind behind it, out of the queue."""
        taken: list[_Waiting[Item, Answer]] = []
        passed: list[_Waiting[Item, Answer]] = []
        while self._queue and len(taken) < self._batch_size:
            waiting = self._queue.popleft()
            if waiting.answer.cancelled():
                continue
            same = not taken or self._kind(waiting.item) == self._kind(taken[0].item)
            (taken if same else passed).append(waiting)
        self._queue.extendleft(reversed(passed))
        return taken

    def _begins(self, waiting: _Waiting[Item, Answer]) -> bool:
        """Whether this one is still worth its work."""
        if not waiting.answer.set_running_or_notify_cancel():
            return False
        now = time.monotonic()
        if now > waiting.start_by:
            waiting.answer.set_exception(TimeoutError("not begun in time"))
            return False
        self._metrics.stage("queue", now - waiting.since)
        return True

    def _answer(self, batch: Sequence[_Waiting[Item, Answer]], work: Work[Item, Answer]) -> None:
        self._metrics.batch(len(batch))
        try:
            answers = work([waiting.item for waiting in batch])
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:
            for waiting in batch:
                waiting.answer.set_exception(error)
        else:
            for waiting, answer in answered:
                if isinstance(answer, Exception):
                    waiting.answer.set_exception(answer)
                else:
                    waiting.answer.set_result(answer)
