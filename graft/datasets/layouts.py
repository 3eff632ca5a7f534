"""From the files that were added to the pictures that they make, each with its class and its split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from graft.datasets import folders
from graft.datasets.batches import Batch
from graft.datasets.manifest import Split
from graft.types import Monitor

Boxes = Literal["crop", "whole"]


@dataclass(frozen=True)
class SourceFile:
    """A file that should be a picture. split: None where the layout names none."""

    path: str
    split: Split | None
    label: str
    sha256: str


@dataclass(frozen=True)
class Sources:
    """What a layout is read from. content: sha256 -> the file; boxes: what marked objects make."""

    batches: Sequence[Batch]
    content: Callable[[str], Path]
    boxes: Boxes = "crop"


def check(sources: Sources) -> None:
    """Whether the files make a dataset, as far as that is told in a moment. Raises InvalidInput."""
    _folders(sources)


def read(sources: Sources, keep: Callable[[bytes], str], monitor: Monitor) -> list[SourceFile]:
    """The pictures, sorted by path. keep: stores a picture that is made here, and returns its sha256.

    Raises InvalidInput, Interrupted.
    """
    return _folders(sources)


def _folders(sources: Sources) -> list[SourceFile]:
    places = folders.arrange([entry.path for entry in batch.entries] for batch in sources.batches)
    hashes = {entry.path: entry.sha256 for batch in sources.batches for entry in batch.entries}
    return [SourceFile(path, places[path].split, places[path].label, hashes[path]) for path in sorted(places)]
