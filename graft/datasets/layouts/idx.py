"""IDX files, the form of MNIST, Fashion-MNIST, KMNIST and EMNIST: yann.lecun.com/exdb/mnist has the format.

The files of all four bear the same names, and none says what its labels mean: classes are called by their number,
unless a `labels.txt` beside the files, one name a line, or EMNIST's `…-mapping.txt` says more.
"""

import io
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
from PIL import Image

from graft.datasets.archives.gzips import Gunzip
from graft.datasets.layouts.conventions import checked_names, class_names, name_of, named_lines
from graft.datasets.layouts.listing import Keep, Listing, Sources
from graft.datasets.layouts.making import Maker
from graft.datasets.manifest import SPLITS, Split
from graft.datasets.names import shown
from graft.errors import InvalidInput, TooLarge
from graft.types import Monitor

_NAME: Final = re.compile(
    r"(?P<set>.*?)(?P<part>train|t10k|test|valid|validation|val)-(?P<kind>images|labels)[-.]idx[13]-ubyte(?P<gz>\.gz)?",
    re.IGNORECASE,
)
_SPLITS: Final[dict[str, Split]] = {"train": "train", "t10k": "test", "test": "test"}
_IMAGES, _LABELS = struct.Struct(">4s3L"), struct.Struct(">4sL")
_RATIO: Final = 1000  # near all that gzip can do, as sorted labels need; headers say how much is read
_MEMBERS: Final = 10_000  # programs that pack in parallel make one of every 64 KiB or more
_MAGIC: Final = {"images": b"\0\0\x08\x03", "labels": b"\0\0\x08\x01"}


@dataclass(frozen=True)
class Part:
    """The files of one split. names: says what the labels mean; turned: EMNIST's pictures are stored by columns."""

    split: Split
    images: str
    labels: str
    names: str | None
    turned: bool


@dataclass(frozen=True)
class Idx:
    """A Layout. named: path -> what its name says, of every such file."""

    sources: Sources
    named: Mapping[str, re.Match[str]]
    name: str = "MNIST's IDX files"

    def check(self) -> None:
        for part in self._parts():
            self._names(part)
            self._size(part)

    def read(self, keep: Keep, monitor: Monitor) -> Listing:
        parts = self._parts()
        maker = Maker(keep, monitor, sum(self._size(part)[0] for part in parts))
        for part in parts:
            self._read(part, maker)
        return Listing(maker.files, used=frozenset({*self.named, *(part.names for part in parts if part.names)}))

    def _parts(self) -> list[Part]:
        """One for each split. A file may be there twice, as it is and packed. Raises InvalidInput."""
        found: dict[tuple[Split, str], str] = {}
        for path, named in sorted(self.named.items(), key=lambda item: (item[1]["gz"] is None, item[0])):
            kind = (_SPLITS.get(named["part"].lower(), "validation"), named["kind"].lower())
            before = found.setdefault(kind, path)
            same = self.sources.entries[before].sha256 == self.sources.entries[path].sha256
            if not same and (self.named[before]["gz"] is None) == (named["gz"] is None):
                raise InvalidInput(
                    f"There may be one file for the {kind[1]} of each split; {shown(before)} and {shown(path)} both "
                    f"are for {kind[0]}. Remove one of the two."
                )
            found[kind] = path
        return [self._part(split, found) for split in SPLITS if {(split, kind) for kind in _MAGIC} & found.keys()]

    def _part(self, split: Split, found: dict[tuple[Split, str], str]) -> Part:
        images, labels = found.get((split, "images")), found.get((split, "labels"))
        if images is None or labels is None:
            raise InvalidInput(
                f"Images and labels go together; {shown(images or labels or '')} came without its "
                f"{'labels' if images else 'images'}. Add that file."
            )
        of_set = self.named[images]["set"].lower()
        beside = self.sources.beside
        names = beside(labels, "labels.txt") or beside(labels, f"{of_set}mapping.txt")
        return Part(split, images, labels, names, turned="emnist" in of_set)

    def _size(self, part: Part) -> tuple[int, int, int]:
        """Pictures, rows, columns, as the headers say. Raises InvalidInput, TooLarge."""
        with self._opened(part.images) as file:
            magic, count, rows, columns = _IMAGES.unpack(_exactly(file, _IMAGES.size, part.images))
            _check_magic(magic, "images", part.images)
        with self._opened(part.labels) as file:
            magic, labels = _LABELS.unpack(_exactly(file, _LABELS.size, part.labels))
            _check_magic(magic, "labels", part.labels)
        if count != labels:
            raise InvalidInput(
                f"Every picture needs one label; {shown(part.images)} has {count:,} pictures and {shown(part.labels)} "
                f"{labels:,} labels. Send the two that belong together."
            )
        if not 0 < rows * columns <= self.sources.max_pixels:
            raise TooLarge(
                f"A picture must have 1 to {self.sources.max_pixels:,} pixels; those of {shown(part.images)} have "
                f"{rows:,} x {columns:,}. Download it again."
            )
        return count, rows, columns

    def _names(self, part: Part) -> dict[int, str]:
        """Raises InvalidInput."""
        if part.names is None or part.names.lower().endswith("labels.txt"):
            return class_names(self.sources, part.names)
        lines = (line.split(maxsplit=2) for line in named_lines(self.sources, part.names))
        try:  # label, then the character's code; where one label is for two letters, the capital's comes first
            return checked_names(part.names, [(int(number), chr(int(code))) for number, code, *_ in lines])
        except (ValueError, OverflowError) as error:
            raise InvalidInput(
                f"A mapping has a label and a character's code in each line; {shown(part.names)}: {error}. "
                "Download it again."
            ) from error

    def _read(self, part: Part, maker: Maker) -> None:
        count, rows, columns = self._size(part)
        names = self._names(part)
        with self._opened(part.labels) as file:
            file.read(_LABELS.size)
            labels = _exactly(file, count, part.labels)
            _check_end(file, part.labels)
        with self._opened(part.images) as file:
            file.read(_IMAGES.size)
            for number, label in enumerate(labels):
                data = _exactly(file, rows * columns, part.images)
                pixels = np.frombuffer(data, np.uint8).reshape(rows, columns)
                image = Image.fromarray(np.ascontiguousarray(pixels.T) if part.turned else pixels)
                name = name_of(label, names, f"picture {number:,} of {shown(part.images)}")
                maker.store(f"{part.split}/{name}/{number:05}.png", part.split, name, image)
                maker.steps.done()
            _check_end(file, part.images)

    @contextmanager
    def _opened(self, path: str) -> Iterator[BinaryIO]:
        with self.sources.open(path) as file:
            if path.lower().endswith(".gz"):
                yield io.BufferedReader(Gunzip(file, shown(path), ratio=_RATIO, members=_MEMBERS), 1 << 16)
            else:
                yield file


def recognise(sources: Sources) -> Idx | None:
    named = {path: found for path in sources.entries if (found := _NAME.fullmatch(path.rpartition("/")[2]))}
    return Idx(sources, named) if named else None


def _check_magic(magic: bytes, kind: str, path: str) -> None:
    if magic != _MAGIC[kind]:
        raise InvalidInput(
            f"An IDX file of {kind} begins with the bytes {_MAGIC[kind].hex(' ')}; {shown(path)} begins with "
            f"{magic.hex(' ')}. Send the file as it was published; a packed one must end in .gz."
        )


def _exactly(file: BinaryIO, size: int, path: str) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise _damaged(path, "it is truncated")
    return data


def _check_end(file: BinaryIO, path: str) -> None:
    if file.read(1):
        raise _damaged(path, "it goes on behind its last entry")


def _damaged(path: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"An IDX file must hold what its header says; {shown(path)} does not: {reason}. Download it again."
    )
