"""CIFAR-10 and CIFAR-100 in their binary version (cs.toronto.edu/~kriz/cifar.html). The Python version is pickled, and
never opened.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from graft.datasets.layouts.conventions import class_names, name_of
from graft.datasets.layouts.listing import Keep, Listing, Sources
from graft.datasets.layouts.making import Maker
from graft.datasets.manifest import Split
from graft.datasets.names import shown
from graft.errors import InvalidInput
from graft.types import Monitor

SIDE: Final = 32
MAX_PARTS: Final = 20  # files of records: CIFAR-10 has six
_PIXELS: Final = 3 * SIDE * SIDE


@dataclass(frozen=True)
class Kind:
    """labels: bytes before the pixels of each record, of which the last says the class; names: of the classes."""

    name: str
    labels: int
    names: str
    train: re.Pattern[str]
    test: str


TEN = Kind("CIFAR-10", 1, "batches.meta.txt", re.compile(r"data_batch_\d+\.bin"), "test_batch.bin")
HUNDRED = Kind("CIFAR-100", 2, "fine_label_names.txt", re.compile(r"train\.bin"), "test.bin")


@dataclass(frozen=True)
class Binary:
    """A Layout. parts: each file of records, with its split."""

    sources: Sources
    kind: Kind
    parts: tuple[tuple[str, Split], ...]

    @property
    def name(self) -> str:
        return f"{self.kind.name}'s binary version"

    def check(self) -> None:
        if len(self.parts) > MAX_PARTS:
            raise InvalidInput(
                f"A set in the form of {self.kind.name} may have at most {MAX_PARTS} files of records; this one has "
                f"{len(self.parts):,}. Join some of them."
            )
        for path, _ in self.parts:
            self._count(path)
            self._names(path)

    def read(self, keep: Keep, monitor: Monitor) -> Listing:
        maker = Maker(keep, monitor, sum(self._count(path) for path, _ in self.parts))
        for path, split in self.parts:
            names = self._names(path)
            for number, (label, image) in enumerate(self._records(path)):
                name = name_of(label, names, f"record {number:,} of {shown(path)}")
                batch = path.rpartition("/")[2].removesuffix(".bin")
                maker.store(f"{split}/{name}/{batch}_{number:05}.png", split, name, image)
                maker.steps.done()
        known = {self.sources.beside(path, name) for path, _ in self.parts for name in _NAME_FILES}
        return Listing(maker.files, used=frozenset({*(path for path, _ in self.parts), *filter(None, known)}))

    def _count(self, path: str) -> int:
        record, size = self.kind.labels + _PIXELS, self.sources.entries[path].size
        if not size or size % record:
            raise InvalidInput(
                f"A file of {self.kind.name} consists of records of {record:,} bytes; {shown(path)} has {size:,}, "
                f"which is no multiple of that. Download it again."
            )
        return size // record

    def _names(self, path: str) -> dict[int, str]:
        return class_names(self.sources, self.sources.beside(path, self.kind.names))

    def _records(self, path: str) -> Iterator[tuple[int, Image.Image]]:
        """Label and picture. The pixels are red, then green, then blue, each by rows."""
        labels = self.kind.labels
        with self.sources.open(path) as file:
            while record := file.read(labels + _PIXELS):
                planes = np.frombuffer(record, np.uint8, _PIXELS, labels).reshape(3, SIDE, SIDE)
                yield record[labels - 1], Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def recognise(sources: Sources) -> Binary | None:
    """Raises InvalidInput for the Python version: to open a pickle is to run what it says."""
    for kind in (TEN, HUNDRED):
        parts = tuple((path, split) for path in sorted(sources.entries) if (split := _split(path, kind)))
        if parts and (kind is TEN or _is_hundred(sources, [path for path, _ in parts])):
            return Binary(sources, kind, parts)
    if _is_pickled(sources):
        raise InvalidInput(
            "CIFAR is taken in its binary version only; this is the Python or the Matlab version, whose files could "
            "run any code when they are opened. Download cifar-10-binary.tar.gz or cifar-100-binary.tar.gz and send "
            "that."
        )
    return None


_NAME_FILES: Final = (TEN.names, HUNDRED.names, "coarse_label_names.txt")
_PICKLES: Final = re.compile(r"(data_batch_\d+|test_batch|batches\.meta)(\.mat)?")


def _split(path: str, kind: Kind) -> Split | None:
    name = path.rpartition("/")[2].lower()
    return "train" if kind.train.fullmatch(name) else "test" if name == kind.test else None


def _is_hundred(sources: Sources, paths: list[str]) -> bool:
    """Its names are everyday ones: there must be its class names, too, or the size of its records."""
    named = any(sources.beside(path, HUNDRED.names) for path in paths)
    return named or all(sources.entries[path].size % (HUNDRED.labels + _PIXELS) == 0 for path in paths)


def _is_pickled(sources: Sources) -> bool:
    """By the names of CIFAR-10; for CIFAR-100, whose are `train`, `test` and `meta`, by the first byte, too."""
    by_name = {path.rpartition("/")[2].lower(): path for path in sources.entries}
    if any(_PICKLES.fullmatch(name) for name in by_name):
        return True
    if {"train.mat", "test.mat", "meta.mat"} <= by_name.keys():
        return True
    return all(name in by_name and sources.head(by_name[name], 1) == b"\x80" for name in ("train", "meta"))
