"""Seeded, stratified splits, decided by content alone: neither names nor the order of an archive change them.

Identical files of a class share a split, so that no picture is trained on and tested on. What has a split keeps it.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from graft.datasets.manifest import Split
from graft.errors import InvalidFields


class Labelled(Protocol):
    """A file of the dataset as far as splitting goes."""

    @property
    def label(self) -> str: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class SplitRequest:
    """Fractions of every class for the splits that the folder lacks. Raises InvalidFields."""

    validation_split: float = 0.2
    test_split: float = 0.0
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("validation_split", self.validation_split), ("test_split", self.test_split)):
            if not 0 <= value < 1:
                raise InvalidFields(f"{name} must be at least 0 and less than 1; received {value}.")
        if self.validation_split + self.test_split >= 1:
            raise InvalidFields(
                "validation_split and test_split must leave something to train on, so their sum must be less than 1; "
                f"received {self.validation_split} and {self.test_split}."
            )


def carve(
    files: Sequence[Labelled], held: Sequence[Split | None], *, validation: float, test: float, seed: int
) -> list[Split]:
    """The split of each file. held: the one that it has already, which it keeps, or None.

    Each class is shuffled by the seed, and of its new distinct contents as many are cut off as bring it nearest to its
    `shares`. A new file with a content of its class that has a split gets that one.
    """
    contents: dict[str, dict[str, Split | None]] = defaultdict(dict)
    for file, split in zip(files, held, strict=True):
        contents[file.label][file.sha256] = contents[file.label].get(file.sha256) or split
    for label, split_of in contents.items():
        new = sorted((s for s, split in split_of.items() if not split), key=lambda s: _rank(seed, label, s))
        has = Counter(split for split in split_of.values() if split)
        n_validation, n_test = _lacking(len(new), has, validation, test)
        for place, sha256 in enumerate(new):
            in_test = n_validation <= place < n_validation + n_test
            split_of[sha256] = "validation" if place < n_validation else "test" if in_test else "train"
    return [split or contents[file.label][file.sha256] or "train" for file, split in zip(files, held, strict=True)]


def _lacking(new: int, has: Counter[Split], validation: float, test: float) -> tuple[int, int]:
    """How many of a class's new contents go to validation and to test; one stays to train on where there is none."""
    n_validation, n_test = shares(new + has.total(), validation, test)
    room = new if has["train"] else max(0, new - 1)
    n_validation = min(max(0, n_validation - has["validation"]), room)
    return n_validation, min(max(0, n_test - has["test"]), room - n_validation)


def shares(n: int, validation: float, test: float) -> tuple[int, int]:
    """How many of a class's n pictures go to validation and to test.

    The fraction, rounded half up, but at least one picture to each split that was asked for; where that leaves
    nothing to train on, test gives way first, then validation.
    """
    n_validation, n_test = (max(1, math.floor(f * n + 0.5)) if f > 0 else 0 for f in (validation, test))
    n_test = max(0, min(n_test, n - 1 - n_validation))
    return min(n_validation, max(0, n - 1)), n_test


def _rank(seed: int, label: str, sha256: str) -> bytes:
    return hashlib.sha256(f"{seed}/{sha256}/{label}".encode()).digest()
