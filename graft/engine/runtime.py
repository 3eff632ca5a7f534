"""One batch of pictures for any mix of grafts through the one trunk: each leaves at its graft's cut."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graft.vgg16.heads import Graft
from graft.vgg16.layers import INPUT, position
from graft.vgg16.trunk import TrunkRunner

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """One picture, as `network_input` makes it, (224, 224, 3) float32, and the graft that shall answer."""

    numbers: Array
    graft: Graft


def run(trunk: TrunkRunner, batch: Sequence[Asked]) -> list[Array]:
    """Logits (classes,) for each, in order. No trunk layer runs for a picture whose graft leaves before it."""
    answers: dict[int, Array] = {}
    inside = list(range(len(batch)))  # the pictures that are still in the trunk, as rows of `features`
    features, at = np.stack([asked.numbers for asked in batch]), INPUT
    for cut in sorted({asked.graft.cut for asked in batch}, key=position):
        features, at = trunk.run(features, at, [cut])[cut], cut
        for rows in _rows_by_graft(inside, batch, cut):
            logits = batch[inside[rows[0]]].graft.logits(features[rows])
            answers |= {inside[row]: answer for row, answer in zip(rows, logits, strict=True)}
        staying = [row for row, i in enumerate(inside) if batch[i].graft.cut != cut]
        features, inside = features[staying], [inside[row] for row in staying]
    return [answers[i] for i in range(len(batch))]


def _rows_by_graft(inside: Sequence[int], batch: Sequence[Asked], cut: str) -> Iterable[list[int]]:
    """The rows whose graft is cut here, those of one graft together."""
    groups: dict[int, list[int]] = {}
    for row, i in enumerate(inside):
        if batch[i].graft.cut == cut:
            groups.setdefault(id(batch[i].graft), []).append(row)
    return groups.values()
