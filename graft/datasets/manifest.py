"""A dataset revision: which picture is in which split and class, and the hash that names it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, Self

from graft.disk import sync, write_whole

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")


@dataclass(frozen=True)
class Picture:
    """path: where the archive had it; label: index into the manifest's classes; sha256: hex, of the file's bytes."""

    path: str
    split: Split
    label: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One revision. classes and pictures are sorted, by name and by path."""

    revision: str
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]

    @classmethod
    def of_pictures(cls, classes: Iterable[str], pictures: Iterable[Picture]) -> Self:
        """classes: sorted already, as the pictures' labels count in them."""
        names, kept = tuple(classes), tuple(sorted(pictures, key=lambda p: p.path))
        return cls(revision_of(names, kept), names, kept)

    def of(self, split: Split) -> tuple[Picture, ...]:
        """The split's pictures, sorted by path."""
        return self._by_split[split]

    @cached_property
    def _by_split(self) -> dict[Split, tuple[Picture, ...]]:
        return {split: tuple(p for p in self.pictures if p.split == split) for split in SPLITS}

    def counts(self) -> dict[str, dict[str, int]]:
        """split -> class -> pictures; every class is named in every split."""
        counts: dict[str, dict[str, int]] = {split: dict.fromkeys(self.classes, 0) for split in SPLITS}
        for picture in self.pictures:
            counts[picture.split][self.classes[picture.label]] += 1
        return counts

    def write(self, path: Path) -> None:
        rows = [[p.path, p.split, p.label, p.sha256] for p in self.pictures]
        write_json(path, {"format": 1, "revision": self.revision, "classes": self.classes, "pictures": rows})

    @classmethod
    def read(cls, path: Path) -> Self:
        value = json.loads(path.read_text())
        return cls(value["revision"], tuple(value["classes"]), tuple(Picture(*row) for row in value["pictures"]))


def revision_of(classes: tuple[str, ...], pictures: Iterable[Picture]) -> str:
    """Hex sha256 over the sorted lines `["split","class","sha256"]`: paths and order do not count, copies do."""
    lines = sorted(json.dumps([p.split, classes[p.label], p.sha256], separators=(",", ":")) for p in pictures)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """In full or not at all; the folder, too, is brought to disk."""
    write_whole(path, json.dumps(value, separators=(",", ":")).encode())
    sync(path.parent)
