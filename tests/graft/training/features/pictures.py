"""Pictures of one colour, kinds of their features, and what a store is filled with when there is no trunk."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from graft.training.features.kept import Indices, Kept
from graft.training.features.kind import FeatureKind
from graft.training.features.shards import Digests, digests_of
from graft.training.features.store import FeatureStore
from graft.types import InputKey
from graft.vgg16.trunk import Features
from tests.trunks import TinyTrunk

KIND = FeatureKind(InputKey(preprocessing="none"), "d9a2", "block5_pool", "avg")


@dataclass(frozen=True)
class File:
    """A picture known by its hash, which has its colour, too."""

    sha256: str

    @property
    def colour(self) -> int:
        return int(self.sha256[:2], 16)


def files(count: int, first: int = 0) -> list[File]:
    return [File(hashlib.sha256(str(i).encode()).hexdigest()) for i in range(first, first + count)]


def pixels(file: File) -> np.ndarray:
    return np.full((224, 224, 3), file.colour, np.uint8)


def digests(pictures: Sequence[File]) -> Digests:
    return np.unique(digests_of([file.sha256 for file in pictures]))


class Trunk(TinyTrunk):
    """It remembers what went through it: the mean of each picture, and up to which cuts."""

    def __init__(self) -> None:
        super().__init__("float32", "CPU:0")
        self.seen: list[tuple[int, frozenset[str]]] = []

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        self.seen += [(int(mean), frozenset(cuts)) for mean in pictures.mean((1, 2, 3))]
        return super().run(pictures, start, cuts)


def expected(kept: Kept, kind: FeatureKind, indices: Indices) -> np.ndarray:
    """(n, *kind.shape): a row that no other picture has, and no other kind of its shape."""
    seeds = [[*bytes(kept.digests[index].ljust(32, b"\0")), *kind.cut.encode()] for index in indices]
    rows = [np.random.default_rng(seed).uniform(0, 9, kind.shape) for seed in seeds]
    return np.array(rows).reshape(len(indices), *kind.shape).astype(kind.dtype)


def fill_up(store: FeatureStore, kept: Kept, kinds: Sequence[FeatureKind] = (KIND,)) -> None:
    """Write what is lacking and what there is room for."""
    lacking = {kind: ~kept.has(kind) for kind in kinds}
    while claims := store.claim(kept, lacking):
        for claim in claims:
            lacking[claim.kind][claim.indices] = False
            if claim.partial:
                for index, row in zip(claim.indices, expected(kept, claim.kind, claim.indices), strict=True):
                    claim.partial.append(kept.digests[index], row)
                store.finish(claim, kept)
