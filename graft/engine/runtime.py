"""One batch of pictures through the one trunk: each leaves at every cut where something of it is wanted."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from graft.types import Precision, Preprocessing
from graft.vgg16 import layers
from graft.vgg16.heads import pooled
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT, Pooling, position
from graft.vgg16.trunk import TrunkRunner

Array = npt.NDArray[np.float32]
Answer = tuple[Array, ...] | Exception


class Branch(Protocol):
    """What leaves the trunk at a cut: a graft, or an embedding. The pictures of equal branches run together."""

    @property
    def cut(self) -> str: ...

    @property
    def multiply_adds(self) -> int:
        """Of one picture after the cut."""

    def answer(self, features: Array, device: str) -> Array:
        """(n, height, width, channels) at the cut -> (n, any number)."""


@dataclass(frozen=True)
class Embedding:
    """The trunk's own output at a cut, pooled to one row a picture."""

    cut: str
    pooling: Pooling
    multiply_adds: int = field(default=0, init=False)

    def answer(self, features: Array, device: str) -> Array:  # noqa: ARG002 - one pooling is not worth a transfer
        return np.asarray(pooled(features, self.pooling))


@dataclass(frozen=True, eq=False)
class Asked:
    """One picture, (224, 224, 3) uint8 RGB, how it enters the trunk, and where it is wanted: once at least."""

    pixels: npt.NDArray[np.uint8]
    preprocessing: Preprocessing
    precision: Precision
    branches: tuple[Branch, ...]


def work_of(branches: Sequence[Branch]) -> int:
    """Multiply-adds of all that runs for one picture which these branches want."""
    return layers.multiply_adds(INPUT, _last(branches)) + sum(branch.multiply_adds for branch in branches)


def _last(branches: Sequence[Branch]) -> str:
    """The last of their cuts."""
    return max((branch.cut for branch in branches), key=position)


@dataclass
class Spent:
    """Where the time of a batch went."""

    trunk: float = 0.0
    branches: float = 0.0


def run(trunk: TrunkRunner, batch: Sequence[Asked], spent: Spent | None = None) -> list[Answer]:
    """For each picture what its branches answer, in their order, each (any number,); all are of the trunk's precision.

    A trunk layer runs once for a picture with a branch after it, and never for another. A branch that fails is the
    answer of those who wanted it, and of nobody else. `spent` is added to.
    """
    spent = spent or Spent()
    answers: list[dict[Branch, Array | Exception]] = [{} for _ in batch]
    inside = list(range(len(batch)))  # the pictures that are still in the trunk, as rows of `features`
    began = time.perf_counter()
    features, at = _entering(batch), INPUT
    for cut in sorted({branch.cut for asked in batch for branch in asked.branches}, key=position):
        staying = [row for row, i in enumerate(inside) if position(_last(batch[i].branches)) >= position(cut)]
        if len(staying) < len(inside):
            features, inside = features[staying], [inside[row] for row in staying]
        features, at = trunk.run(features, at, [cut])[cut], cut
        left = time.perf_counter()
        for branch, rows in _rows_by_branch([batch[i] for i in inside], cut):
            wanted = features if len(rows) == len(features) else features[rows]
            for row, answer in zip(rows, _answers(branch, wanted, trunk.device), strict=True):
                answers[inside[row]][branch] = answer
        spent.trunk += left - began
        began = time.perf_counter()
        spent.branches += began - left
    return [_in_order(asked.branches, found) for asked, found in zip(batch, answers, strict=True)]


def _answers(branch: Branch, features: Array, device: str) -> Sequence[Array | Exception]:
    try:
        return list(branch.answer(features, device))
    except Exception as error:
        return [error] * len(features)


def _in_order(branches: Sequence[Branch], found: Mapping[Branch, Array | Exception]) -> Answer:
    answers = []
    for branch in branches:
        answer = found[branch]
        if isinstance(answer, Exception):
            return answer
        answers.append(answer)
    return tuple(answers)


def _entering(batch: Sequence[Asked]) -> Array:
    """The numbers that enter the trunk, whatever the mix of preprocessings."""
    kinds = {asked.preprocessing for asked in batch}
    if len(kinds) == 1:
        return network_input(np.stack([asked.pixels for asked in batch]), kinds.pop())
    return np.concatenate([network_input(asked.pixels[None], asked.preprocessing) for asked in batch])


def _rows_by_branch(inside: Sequence[Asked], cut: str) -> Iterator[tuple[Branch, list[int]]]:
    """Each branch at this cut, with the rows of the pictures that want it."""
    rows: dict[Branch, list[int]] = {}
    for row, asked in enumerate(inside):
        for branch in asked.branches:
            if branch.cut == cut:
                rows.setdefault(branch, []).append(row)
    yield from rows.items()
