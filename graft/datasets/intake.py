"""Take in the files of one call: every file goes under the hash of its content, so that no name ever becomes a path."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from graft.database import new_id
from graft.datasets.archives import CHUNK, ArchiveLimits
from graft.datasets.archives.formats import HEAD, archive_kind, open_archive, readable_kind
from graft.datasets.batches import Batch, Entry
from graft.datasets.names import NameTree, clean_folder, clean_path, is_ignored, shown
from graft.disk import room_for
from graft.errors import InvalidInput, TooLarge

# How MNIST is published: each of its files in gzip on its own.
_PACKED_IDX: Final = re.compile(r"idx[1-3]-ubyte\.gz$", re.IGNORECASE)


def content_path(folder: Path, sha256: str) -> Path:
    """Where a dataset's folder keeps the file with this hash."""
    return folder.joinpath("files", sha256[:2], sha256)


class Intake:
    """Files into a folder, one after the other: `begin` with a name, `write` its pieces, `end`. For one thread at once.

    Every method raises InvalidInput, TooLarge and DiskFull; what is in the folder then is the caller's to remove.
    """

    def __init__(self, folder: Path, limits: ArchiveLimits) -> None:
        self.folder = folder
        self.archive = folder / "archive"
        self._limits = limits
        self._names = NameTree(limits.entries)
        self._room = limits.bytes
        self._entries: dict[str, Entry] = {}
        self._ignored = 0
        self._file: _File | None = None

    def begin(self, name: str) -> None:
        self._names.count(name)
        path = clean_path(name)
        if is_ignored(path):
            self._ignored += 1
            return
        self._names.add_file(path)
        self._file = _File(path, self.folder, min(self._room, self._limits.of_file(path)))

    def write(self, data: bytes) -> None:
        if self._file:
            self._file.write(data)

    def end(self) -> None:
        if self._file:
            entry = self._file.keep()
            self._entries[entry.path] = entry
            self._room -= entry.size
            self._file = None

    def append(self, data: bytes) -> None:
        """The next piece of `archive`. Raises NotAnArchive as soon as that can be told."""
        with room_for("An upload"), self.archive.open("ab+") as file:
            before = file.tell()
            file.write(data)
            if before < HEAD <= file.tell():
                file.seek(0)
                readable_kind(file.read(HEAD))

    def unpack(self) -> None:
        """Take in the members of `archive`, and remove it. Raises NotAnArchive, too."""
        with open_archive(self.archive, self._limits) as reader:
            for member in reader.members():
                if member.is_folder:
                    self._see_folder(member.name)
                    continue
                self.begin(member.name)
                for chunk in member.chunks():
                    self.write(chunk)
                self.end()
        self.archive.unlink()

    def _see_folder(self, name: str) -> None:
        """A folder is not kept, as its files' names say it. Its name must follow the rules all the same."""
        self._names.count(name)
        path = clean_folder(name)
        if path and not is_ignored(path):
            self._names.add_folder(path)

    def close(self) -> None:
        """Let go of a file that was never ended."""
        if self._file:
            self._file.close()

    def content(self, sha256: str) -> Path:
        """Where the file with this hash lies."""
        return content_path(self.folder, sha256)

    def batch(self, id: str | None = None) -> Batch:
        """What was taken in."""
        entries = (self._entries[path] for path in sorted(self._entries))
        return Batch(id or new_id("batch"), tuple(entries), self._ignored)


class _File:
    """One file on its way in. A small one stays in memory until it is whole, so that a picture costs one write."""

    def __init__(self, path: str, folder: Path, limit: int) -> None:
        self._path = path
        self._folder = folder
        self._limit = limit
        self._digest = hashlib.sha256()
        self._size = 0
        self._waiting = bytearray()
        self._large: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            self.close()
            raise TooLarge(
                f"An upload and each of its files have a size limit; {shown(self._path)} passes it with more than "
                f"{self._limit:,} bytes. Leave it out, or send fewer pictures."
            )
        self._digest.update(data)
        self._waiting += data
        if len(self._waiting) >= CHUNK:
            self._spill()

    def _spill(self) -> None:
        if self._large is None:
            self._check_content()
        with room_for("A dataset"):
            self._large = self._large or self._aside.open("wb")
            self._large.write(self._waiting)
        self._waiting.clear()

    def _check_content(self) -> None:
        kind = archive_kind(self._waiting)
        if kind and not (kind == "a gzip file" and _PACKED_IDX.search(self._path)):
            raise InvalidInput(
                f"Files that are sent must not be archives themselves; {shown(self._path)} is {kind}. "
                "Unpack it, or send it alone as the archive."
            )

    @property
    def _aside(self) -> Path:
        return self._folder / "unpacking"

    def close(self) -> None:
        if self._large:
            with suppress(OSError):  # there is no room for what is still to be written
                self._large.close()

    def keep(self) -> Entry:
        sha256 = self._digest.hexdigest()
        kept = content_path(self._folder, sha256)
        if self._large is None:
            self._check_content()
        with room_for("A dataset"):
            if not kept.parent.exists():
                kept.parent.mkdir(parents=True)
            if self._large:
                self._large.write(self._waiting)
                self._large.close()
                self._aside.replace(kept)
            elif not kept.exists():
                kept.write_bytes(self._waiting)
        return Entry(self._path, sha256, self._size)
