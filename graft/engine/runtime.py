"""One batch of pictures through the one trunk: each leaves at every cut where something of it is wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from graft.vgg16.heads import pooled
from graft.vgg16.layers import INPUT, Pooling, position
from graft.vgg16.trunk import TrunkRunner

Array = npt.NDArray[np.float32]


class Branch(Protocol):
    """What leaves the trunk at a cut: a graft, or an embedding. The pictures of equal branches run together."""

    @property
    def cut(self) -> str: ...

    def answer(self, features: Array, device: str) -> Array:
        """(n, height, width, channels) at the cut -> (n, any number)."""


@dataclass(frozen=True)
class Embedding:
    """The trunk's own output at a cut, pooled to one row a picture."""

    cut: str
    pooling: Pooling

    def answer(self, features: Array, device: str) -> Array:  # noqa: ARG002 - one pooling is not worth a transfer
        return np.asarray(pooled(features, self.pooling))


@dataclass(frozen=True)
class Asked:
    """One picture, as `network_input` makes it, (224, 224, 3) float32, and where it is wanted: once at least."""

    numbers: Array
    branches: tuple[Branch, ...]


def run(trunk: TrunkRunner, batch: Sequence[Asked]) -> list[tuple[Array, ...]]:
    """For each picture what its branches answer, in their order, each (any number,).

    A trunk layer runs once for a picture with a branch after it, and never for another.
    """
    answers: list[dict[Branch, Array]] = [{} for _ in batch]
    inside = list(range(len(batch)))  # the pictures that are still in the trunk, as rows of `features`
    features, at = np.stack([asked.numbers for asked in batch]), INPUT
    for cut in sorted({branch.cut for asked in batch for branch in asked.branches}, key=position):
        staying = [row for row, i in enumerate(inside) if _last(batch[i]) >= position(cut)]
        features, inside = features[staying], [inside[row] for row in staying]
        features, at = trunk.run(features, at, [cut])[cut], cut
        for branch, rows in _rows_by_branch([batch[i] for i in inside], cut):
            for row, answer in zip(rows, branch.answer(features[rows], trunk.device), strict=True):
                answers[inside[row]][branch] = answer
    return [tuple(found[branch] for branch in asked.branches) for asked, found in zip(batch, answers, strict=True)]


def _last(asked: Asked) -> int:
    """The position of a picture's last cut."""
    return max(position(branch.cut) for branch in asked.branches)


def _rows_by_branch(inside: Sequence[Asked], cut: str) -> Iterator[tuple[Branch, list[int]]]:
    """Each branch at this cut, with the rows of the pictures that want it."""
    rows: dict[Branch, list[int]] = {}
    for row, asked in enumerate(inside):
        for branch in asked.branches:
            if branch.cut == cut:
                rows.setdefault(branch, []).append(row)
    yield from rows.items()
