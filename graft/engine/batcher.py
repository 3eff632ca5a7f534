"""One queue and one thread in front of the device: whatever waits when the device is free runs as one batch."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from graft.errors import Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass
class _Waiting(Generic[Item, Answer]):
    item: Item
    answer: Future[Answer] = field(default_factory=Future)


class Batcher(Generic[Item, Answer]):
    """Runs items through `work`, at most `batch_size` at a time, first come, first served. It waits on no clock.

    `work` gets the items of a batch and returns an answer for each, in order. An error in it reaches every item of that
    batch, and the next batch runs.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Answer]], batch_size: int) -> None:
        self._work = work
        self._batch_size = batch_size
        self._queue: queue.SimpleQueue[_Waiting[Item, Answer] | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> Future[Answer]:
        """Queue one item. Raises Unavailable once the batcher is closed. A cancelled future's item is not run."""
        waiting: _Waiting[Item, Answer] = _Waiting(item)
        with self._closing:
            if self._closed:
                raise Unavailable("Predictions are answered while the service runs; it is stopping. Ask again soon.")
            self._queue.put(waiting)
        return waiting.answer

    def close(self) -> None:
        """Answer what is queued, then stop."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        open_ = True
        while open_:
            batch: list[_Waiting[Item, Answer]] = []
            waiting = self._queue.get()
            while waiting is not None:
                if waiting.answer.set_running_or_notify_cancel():
                    batch.append(waiting)
                if len(batch) == self._batch_size or self._queue.empty():
                    break
                waiting = self._queue.get()
            open_ = waiting is not None
            if batch:
                self._answer(batch)

    def _answer(self, batch: Sequence[_Waiting[Item, Answer]]) -> None:
        try:
            answers = self._work([waiting.item for waiting in batch])
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:
            for waiting in batch:
                waiting.answer.set_exception(error)
        else:
            for waiting, answer in answered:
                waiting.answer.set_result(answer)
