"""What a layout is read from, and what it makes of that: pictures with their classes, and what is left out."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol

from graft import images
from graft.datasets.batches import Batch, Entry
from graft.datasets.checking.problems import Problem
from graft.datasets.manifest import Split
from graft.datasets.names import shown
from graft.errors import InvalidInput
from graft.types import Monitor

Boxes = Literal["crop", "whole"]
Keep = Callable[[bytes], str]  # stores a picture that is made here, and returns its sha256

# What is named so is meant as a picture, whether or not it is of an accepted format.
_PICTURES: Final = re.compile(
    r"\.(jpe?g|jpe|jfif|jp2|a?png|webp|gif|bmp|dib|tiff?|hei[cf]|avif|p[bgp]m|tga|ico|svg|psd)$", re.IGNORECASE
)


@dataclass(frozen=True)
class SourceFile:
    """A file that should be a picture. path: unique, and for messages; split: None where the layout names none."""

    path: str
    split: Split | None
    label: str
    sha256: str


@dataclass(frozen=True)
class Listing:
    """What a layout makes of the files. notes: what it leaves out; used: paths of those that labels and pictures were
    taken out of."""

    files: Sequence[SourceFile]
    notes: Sequence[Problem] = ()
    used: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Sources:
    """The files that were sent. content: sha256 -> the file; boxes: what marked objects make."""

    batches: Sequence[Batch]
    content: Callable[[str], Path]
    boxes: Boxes = "crop"
    max_pixels: int = images.MAX_PIXELS

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """By path, in no order."""
        return {entry.path: entry for batch in self.batches for entry in batch.entries}

    @cached_property
    def _in_small_letters(self) -> dict[str, str]:
        """Each path with its name, not its folders, in small letters -> the path."""
        return {"".join((*path.rpartition("/")[:2], path.rpartition("/")[2].lower())): path for path in self.entries}

    def beside(self, path: str, name: str) -> str | None:
        """The file with this name, in whatever letters, in the folder of `path`. name: in small letters."""
        return self._in_small_letters.get("".join((*path.rpartition("/")[:2], name)))

    def open(self, path: str) -> BinaryIO:
        return self.content(self.entries[path].sha256).open("rb")

    def head(self, path: str, size: int) -> bytes:
        """Its first bytes."""
        with self.open(path) as file:
            return file.read(size)

    def read(self, path: str) -> bytes:
        return self.content(self.entries[path].sha256).read_bytes()

    def is_picture(self, path: str) -> bool:
        """By its name, else by its content: whether it can be decoded is told by validation."""
        return named_as_picture(path) or images.sniff(self.head(path, 16)) is not None


class Layout(Protocol):
    """One way to say which picture is of which class, as it was recognised in the files."""

    @property
    def name(self) -> str:
        """For messages: "It was read as NAME."."""

    def check(self) -> None:
        """What can be told in a moment. Raises InvalidInput."""

    def read(self, keep: Keep, monitor: Monitor) -> Listing:
        """Raises InvalidInput, Interrupted."""


def named_as_picture(path: str) -> bool:
    return _PICTURES.search(path) is not None


def check_usable(files: Collection[SourceFile]) -> None:
    """Whether there is something to tell apart, and something to learn it from. Raises InvalidInput."""
    labels, splits = {file.label for file in files}, {file.split for file in files}
    if len(labels) < 2:
        what = f"all are {shown(*labels)}" if labels else "there is none"
        raise InvalidInput(f"A dataset needs pictures of at least two classes; {what}. Add pictures of others.")
    if not splits & {None, "train"}:
        raise InvalidInput(
            f"A dataset needs pictures to train on; all are for {' and '.join(sorted(filter(None, splits)))}. "
            "Add the training pictures."
        )
