"""One batch of pictures for any mix of grafts through the one trunk: each leaves at its graft's cut."""

from collections.abc import Sequence
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
    answers: list[Array | None] = [None] * len(batch)
    inside = list(range(len(batch)))  # the pictures that are still in the trunk, as rows of `features`
    features, at = np.stack([asked.numbers for asked in batch]), INPUT
    for cut in sorted({asked.graft.cut for asked in batch}, key=position):
        features, at = trunk.run(features, at, [cut])[cut], cut
        leaving = [row for row, i in enumerate(inside) if batch[i].graft.cut == cut]
        _answer(features, leaving, inside, batch, answers)
        staying = [row for row, i in enumerate(inside) if batch[i].graft.cut != cut]
        features, inside = features[staying], [inside[row] for row in staying]
    return [answer for answer in answers if answer is not None]


def _answer(
    features: Array, rows: Sequence[int], inside: Sequence[int], batch: Sequence[Asked], answers: list[Array | None]
) -> None:
    """Run tail and head of each graft on its own pictures among these rows."""
    by_graft: dict[int, list[int]] = {}
    for row in rows:
        by_graft.setdefault(id(batch[inside[row]].graft), []).append(row)
    for group in by_graft.values():
        logits = batch[inside[group[0]]].graft.logits(features[group])
        for row, answer in zip(group, logits, strict=True):
            answers[inside[row]] = answer
