"""Take in the files of one call: every file goes under the hash of its content, so that no name ever becomes a path."""

import hashlib
from pathlib import Path
from typing import BinaryIO

from graft.database import new_id
from graft.datasets.archives import ArchiveLimits
from graft.datasets.batches import Batch, Entry
from graft.datasets.formats import open_archive
from graft.datasets.names import clean_path, is_ignored
from graft.disk import room_for
from graft.errors import InvalidInput, TooLarge


def content_path(folder: Path, sha256: str) -> Path:
    """Where a dataset's folder keeps the file with this hash."""
    return folder / "files" / sha256[:2] / sha256


class Intake:
    """Files into a folder, one after the other: `begin` with a name, `write` its pieces, `end`. For one thread at once.

    Every method raises InvalidInput, TooLarge and DiskFull; what is in the folder then is the caller's to remove.
    """

    def __init__(self, folder: Path, limits: ArchiveLimits) -> None:
        self.folder = folder
        self.archive = folder / "archive"  # where to put one on its way in
        self._limits = limits
        self._names = 0
        self._room = limits.bytes
        self._entries: dict[str, Entry] = {}
        self._ignored = 0
        self._file: _File | None = None

    def begin(self, name: str) -> None:
        self._names += 1
        if self._names > self._limits.entries:
            raise TooLarge(
                f"An upload may have at most {self._limits.entries:,} entries; this one has more. Send fewer pictures."
            )
        path = clean_path(name)
        if is_ignored(path):
            self._ignored += 1
            return
        if path in self._entries:
            raise InvalidInput(f"Names in an upload must differ; {path!r} is there twice. Remove one of the two.")
        self._file = _File(path, self.folder, min(self._room, self._limits.file_bytes))

    def write(self, data: bytes) -> None:
        if self._file:
            self._file.write(data)

    def end(self) -> None:
        if self._file:
            entry = self._file.keep()
            self._entries[entry.path] = entry
            self._room -= entry.size
            self._file = None

    def unpack(self) -> None:
        """Take in the members of `archive`, and remove it. Raises NotAnArchive, too."""
        with open_archive(self.archive, self._limits) as reader:
            for member in reader.members():
                self.begin(member.name)
                for chunk in member.chunks():
                    self.write(chunk)
                self.end()
        self.archive.unlink()

    def content(self, sha256: str) -> Path:
        """Where the file with this hash lies."""
        return content_path(self.folder, sha256)

    def batch(self, id: str | None = None) -> Batch:
        """What was taken in."""
        entries = (self._entries[path] for path in sorted(self._entries))
        return Batch(id or new_id("batch"), tuple(entries), self._ignored)


class _File:
    """One file on its way in."""

    def __init__(self, path: str, folder: Path, limit: int) -> None:
        self._path = path
        self._folder = folder
        self._limit = limit
        self._digest = hashlib.sha256()
        self._size = 0
        self._aside = folder / "unpacking"
        with room_for("A dataset"):
            self._file: BinaryIO = self._aside.open("wb")

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            self._file.close()
            raise TooLarge(
                f"An upload and each of its files have a size limit; {self._path!r} passes it with more than "
                f"{self._limit:,} bytes. Leave it out, or send fewer pictures."
            )
        self._digest.update(data)
        with room_for("A dataset"):
            self._file.write(data)

    def keep(self) -> Entry:
        with room_for("A dataset"):
            self._file.close()
            sha256 = self._digest.hexdigest()
            kept = content_path(self._folder, sha256)
            kept.parent.mkdir(parents=True, exist_ok=True)
            self._aside.replace(kept)
        return Entry(self._path, sha256, self._size)
