"""What is added to a dataset, call by call: names, hashes and sizes. The files lie under their hashes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from graft.datasets.archives import ArchiveLimits
from graft.datasets.manifest import write_json
from graft.datasets.names import NameTree
from graft.errors import Conflict, TooLarge


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

    def write(self, path: Path) -> None:
        rows = [[e.path, e.sha256, e.size] for e in self.entries]
        write_json(path, {"format": 1, "ignored": self.ignored, "entries": rows})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Named after its id."""
        value = json.loads(path.read_text())
        return cls(path.stem, tuple(Entry(*row) for row in value["entries"]), value["ignored"])


def count(batches: Sequence[Batch]) -> int:
    """Files in all of them."""
    return sum(len(batch.entries) for batch in batches)


def new_in(batch: Batch, before: Sequence[Batch], limits: ArchiveLimits) -> Batch:
    """The batch without what is there already under the same path, as a call may be repeated.

    Raises Conflict when another file has a path, InvalidInput for names that do not go together, TooLarge when there
    would be more than one dataset may have.
    """
    there = {entry.path: entry.sha256 for each in before for entry in each.entries}
    for entry in batch.entries:
        if there.get(entry.path, entry.sha256) != entry.sha256:
            raise Conflict(
                f"A file that was added cannot be replaced; {entry.path!r} was added before, with other content. "
                "Give the new one another name."
            )
    new = replace(batch, entries=tuple(entry for entry in batch.entries if entry.path not in there))
    files, size = count((*before, new)), sum(entry.size for each in (*before, new) for entry in each.entries)
    if files > limits.entries or size > limits.bytes:
        raise TooLarge(
            f"A dataset may have at most {limits.entries:,} files and {limits.bytes:,} bytes; with this batch it would "
            f"have {files:,} files and {size:,} bytes. Send fewer pictures."
        )
    names = NameTree(limits.entries)
    for path in (*there, *(entry.path for entry in new.entries)):
        names.count(path)
        names.add_file(path)
    return new
