"""From the bytes of pictures to what branches answer of them: admission, decoding, one batch with everybody else's."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from graft import images
from graft.engine.admission import Admission, Place
from graft.engine.answers import File
from graft.engine.batcher import Batcher
from graft.engine.metrics import EngineMetrics
from graft.engine.runtime import Answer, Array, Asked, Branch, Embedding, Spent, run, work_of
from graft.engine.trunks import Trunks
from graft.errors import InvalidInput, Unavailable
from graft.types import InputKey, Interpolation
from graft.vgg16.layers import LAST

T = TypeVar("T")
Pixels = npt.NDArray[np.uint8]
# Batches that a device works on at the same time. On a processor two fill each other's waits at the ends of layers, and
# those that decoding makes: 4 to 7 % more pictures a second on two cores. A GPU is filled by one.
CPU_LANES = 2
# Seconds of a caller's time that its answer's way home may take, and the share of it at most.
WAY_HOME, WAY_HOME_SHARE = 0.05, 0.1
WHOLE_TRUNK = work_of([Embedding(LAST, "avg")])


class Pipeline:
    """Answers the pictures of many callers at once. `ask` belongs to event loops, everything else to any thread.

    max_pixels: of one picture. timeout: seconds, of one call at most.
    """

    def __init__(
        self,
        trunks: Trunks,
        batch_size: int,
        *,
        admission: Admission,
        max_pixels: int,
        timeout: float,
        metrics: EngineMetrics,
    ) -> None:
        self._trunks = trunks
        self._admission = admission
        self._max_pixels = max_pixels
        self._timeout = timeout
        self._metrics = metrics
        self._decoders = ThreadPoolExecutor(images.cores(), thread_name_prefix="decode")
        self._batcher: Batcher[Asked, tuple[Array, ...]] = Batcher(
            [partial(self._run_batch, device) for device in trunks.devices for _ in range(lanes(device))],
            batch_size,
            kind=lambda asked: asked.precision,
            metrics=metrics,
        )

    def close(self) -> None:
        """Answer what was accepted, then stop."""
        self._batcher.close()

    def refuse_when_busy(self, timeout: float | None) -> None:
        """Raises Unavailable when one picture through the whole trunk would not be done in time. Never blocks."""
        with self._counting_refusals():
            self._admission.check(WHOLE_TRUNK, self._allowed(timeout))

    @asynccontextmanager
    async def within(self, timeout: float | None) -> AsyncIterator[float]:
        """Around all that is done for one call: its deadline, on the monotonic clock. Raises Unavailable then."""
        seconds = self._allowed(timeout)
        try:
            ready = seconds - min(WAY_HOME, WAY_HOME_SHARE * seconds)
            async with asyncio.timeout(ready):
                yield time.monotonic() + ready
        except TimeoutError:
            self._metrics.rejected("late")
            raise Unavailable(
                f"A prediction must be ready within {seconds:g} s; this one was not: the service is busy. Ask again "
                "later, with fewer pictures, or give it more time.",
                retry_after=1,
            ) from None
        except asyncio.CancelledError:
            self._metrics.rejected("left")
            raise

    async def ask(
        self, branches: Sequence[tuple[InputKey, Branch]], files: Sequence[File], deadline: float
    ) -> list[Array]:
        """What each branch answers, (pictures, any number), with the input that it takes.

        A picture is decoded once for each interpolation, and enters the trunk once for each input key. Raises
        NotAPicture and TooLarge naming the file; Unavailable, at once when all would not be done by the deadline;
        TimeoutError when it was not after all. What has not begun when the caller gives up is dropped.
        """
        by_key: dict[InputKey, tuple[Branch, ...]] = {}
        for key, branch in dict.fromkeys(branches):
            by_key[key] = (*by_key.get(key, ()), branch)
        with self._admitted(by_key.values(), len(files), deadline) as place:
            pixels = await self._decoded(files, {key.interpolation for key in by_key})
            asked = [
                Asked(picture, key.preprocessing, key.precision, wanted)
                for key, wanted in by_key.items()
                for picture in pixels[key.interpolation]
            ]
            answers = await self._run(asked, place, deadline)
        rows: dict[Branch, list[Array]] = {branch: [] for _, branch in branches}
        for each, answered in zip(asked, answers, strict=True):
            for branch, answer in zip(each.branches, answered, strict=True):
                rows[branch].append(answer)
        return [np.stack(rows[branch]) for _, branch in branches]

    async def _decoded(
        self, files: Sequence[File], interpolations: Collection[Interpolation]
    ) -> dict[Interpolation, Sequence[Pixels]]:
        """Each picture (224, 224, 3) in every interpolation, decoded beside the devices."""
        return {
            each: await _all(self._decoders.submit(self._decode, files, i, each) for i in range(len(files)))
            for each in interpolations
        }

    def _decode(self, files: Sequence[File], i: int, interpolation: Interpolation) -> Pixels:
        name, data = files[i]
        began = time.perf_counter()
        try:
            return images.decode(data, interpolation=interpolation, max_pixels=self._max_pixels)
        except InvalidInput as error:
            which = name or (f"Picture {i + 1} of {len(files)}" if len(files) > 1 else "")
            raise type(error)(f"{which}: {error}" if which else str(error)) from None
        finally:
            self._metrics.stage("decode", time.perf_counter() - began)

    async def _run(self, asked: Sequence[Asked], place: Place, deadline: float) -> Sequence[tuple[Array, ...]]:
        """Each one's answers, from the batches that they share with other callers' pictures."""
        works = [work_of(each.branches) for each in asked]
        answers = self._batcher.submit(asked, start_by=self._admission.latest_start(max(works), deadline))
        for answer, work in zip(answers, works, strict=True):
            answer.add_done_callback(partial(place.done, work))
        return await _all(answers)

    def _run_batch(self, device: str, batch: Sequence[Asked]) -> list[Answer]:
        """On one of the device's lanes."""
        spent, began = Spent(), time.monotonic()
        answers = run(self._trunks.get(batch[0].precision, device), batch, spent)
        work = sum(work_of(asked.branches) for asked in batch)
        self._admission.ran(work, began, time.monotonic(), device)
        self._metrics.stage("trunk", spent.trunk)
        self._metrics.stage("branches", spent.branches)
        return answers

    def _admitted(self, wanted: Collection[Sequence[Branch]], pictures: int, deadline: float) -> Place:
        work = pictures * sum(work_of(branches) for branches in wanted)
        with self._counting_refusals():
            return self._admission.admit(work, deadline - time.monotonic(), pictures * len(wanted))

    def _allowed(self, timeout: float | None) -> float:
        """What a call may take that was given this timeout."""
        return self._timeout if timeout is None else min(timeout, self._timeout)

    @contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except Unavailable:
            self._metrics.rejected("busy")
            raise


def lanes(device: str) -> int:
    return CPU_LANES if device.startswith("CPU") else 1


async def _all(futures: Iterable[Future[T]]) -> list[T]:
    """Their results in order. When one fails, or the caller gives up, those that have not begun never will."""
    waited_for = [asyncio.wrap_future(future) for future in futures]
    try:
        return await asyncio.gather(*waited_for)
    finally:
        for future in waited_for:
            future.cancel()
