"""From pictures to rows of features: decoded on threads, and run through the trunk ahead of whoever takes them."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from graft.images import cores
from graft.training.features.kind import FeatureKind
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT
from graft.vgg16.trunk import TrunkRunner

BATCH = 8  # pictures a trunk pass: on a CPU larger batches are no faster (within 3 %), and stop later
LANES = 2  # batches in the trunk at once: the second fills the waits of the first (docs/decisions/0014)

Pixels = npt.NDArray[np.uint8]  # (224, 224, 3)
Rows = dict[FeatureKind, npt.NDArray[Any]]  # (n, *kind.shape) of kind.dtype


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures that go through the trunk together, as functions that decode them. kinds: all of one input and view."""

    kinds: Sequence[FeatureKind]
    pictures: Sequence[Callable[[], Pixels]]


B = TypeVar("B", bound=Batch)


class Extractor:
    """The threads, and the trunk, which is made when it is first needed. Safe to use from several threads."""

    def __init__(self, trunk: Callable[[], TrunkRunner]) -> None:
        self._make, self._making = trunk, threading.Lock()
        self._made: TrunkRunner | None = None
        self._decoders = ThreadPoolExecutor(cores(), "decode")
        self._lanes = ThreadPoolExecutor(LANES, "trunk")

    def run(self, batches: Iterable[B]) -> Iterator[tuple[B, Rows]]:
        """Each batch with its rows, in order. Batches are taken, and worked on, ahead of the one that comes out."""
        ahead: deque[tuple[B, Future[Rows]]] = deque()
        for batch in batches:
            decoded = [self._decoders.submit(picture) for picture in batch.pictures]
            ahead.append((batch, self._lanes.submit(self._rows, batch.kinds, decoded)))
            if len(ahead) > LANES + 1:
                first, rows = ahead.popleft()
                yield first, rows.result()
        for last, rows in ahead:
            yield last, rows.result()

    def rows(self, kind: FeatureKind, pictures: Sequence[Callable[[], Pixels]]) -> npt.NDArray[Any]:
        """(len(pictures), *kind.shape) of kind.dtype."""
        parts = [Batch([kind], pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]
        return np.concatenate([rows[kind] for _, rows in self.run(parts)])

    def _rows(self, kinds: Sequence[FeatureKind], decoded: Sequence[Future[Pixels]]) -> Rows:
        numbers = network_input(np.stack([each.result() for each in decoded]), kinds[0].input.preprocessing)
        cuts = {kind.cut for kind in kinds}
        outputs = {INPUT: numbers} if cuts == {INPUT} else self._trunk().run(numbers, INPUT, cuts)
        return {kind: kind.rows(outputs[kind.cut]) for kind in kinds}

    def _trunk(self) -> TrunkRunner:
        with self._making:
            self._made = self._made or self._make()
            return self._made

    def close(self) -> None:
        for pool in (self._lanes, self._decoders):
            pool.shutdown(cancel_futures=True)
