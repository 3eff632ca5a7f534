"""What has been added to a dataset, batch by batch: names, hashes and sizes. The files lie under their hashes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from graft.datasets.manifest import write_json
from graft.errors import Conflict


@dataclass(frozen=True)
class Entry:
    """A file as it was sent: not known to be a picture. path: as `names.clean_path` has it; size: bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Batch:
    """The files of one call, sorted by path. ignored: how many hidden and system files were skipped."""

    id: str
    entries: tuple[Entry, ...]
    ignored: int

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True)
class Added:
    """Every batch of a dataset, oldest first. sealed: how many of them its revision is made of."""

    batches: tuple[Batch, ...] = ()
    sealed: int = 0

    def entries(self) -> Iterator[Entry]:
        for batch in self.batches:
            yield from batch.entries

    def count(self) -> int:
        return sum(len(batch.entries) for batch in self.batches)

    def size(self) -> int:
        """Bytes of all files."""
        return sum(batch.size for batch in self.batches)

    def plus(self, batch: Batch) -> Self:
        """With one batch more. What is there already under the same path is left out of it: a call may be repeated.

        Raises Conflict when another file has the path.
        """
        there = {entry.path: entry.sha256 for entry in self.entries()}
        for entry in batch.entries:
            if there.get(entry.path, entry.sha256) != entry.sha256:
                raise Conflict(
                    f"A file that was added cannot be replaced; {entry.path!r} was added before, with other content. "
                    "Give the new one another name."
                )
        new = tuple(entry for entry in batch.entries if entry.path not in there)
        return replace(self, batches=(*self.batches, replace(batch, entries=new)))

    def of_the_revision(self) -> Self:
        """Without the batches that no revision is made of."""
        return replace(self, batches=self.batches[: self.sealed])

    def write(self, path: Path) -> None:
        rows = [[b.id, b.ignored, [[e.path, e.sha256, e.size] for e in b.entries]] for b in self.batches]
        write_json(path, {"format": 1, "sealed": self.sealed, "batches": rows})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Empty when there is no such file."""
        try:
            value = json.loads(path.read_text())
        except FileNotFoundError:
            return cls()
        batches = (Batch(name, tuple(Entry(*row) for row in rows), ignored) for name, ignored, rows in value["batches"])
        return cls(tuple(batches), value["sealed"])
