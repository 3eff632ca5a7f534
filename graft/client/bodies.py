"""What an upload sends, piece by piece: an archive as it is, or a folder as a tar that is made while it is sent."""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

from graft.errors import InvalidInput

Source = str | os.PathLike[str]  # where it is
PIECE = 256 * 1024
# By the end of a file's name, the longest first.
ARCHIVES = {
    ".tar.gz": "application/gzip",
    ".tgz": "application/gzip",
    ".tar": "application/x-tar",
    ".zip": "application/zip",
}


@dataclass(frozen=True)
class Archive:
    """A zip, a tar or a compressed tar, sent as it is."""

    path: Path
    media_type: str
    size: int

    @classmethod
    def at(cls, path: Path) -> Self:
        """Raises InvalidInput for a file whose name is no archive's, and for an empty one."""
        ending = next((each for each in ARCHIVES if path.name.lower().endswith(each)), None)
        if ending is None:
            raise InvalidInput(
                f"An upload takes a folder or an archive ({', '.join(sorted(ARCHIVES))}); received {path}."
            )
        size = path.stat().st_size
        if not size:
            raise InvalidInput(f"An archive must not be empty; {path} has no bytes.")
        return cls(path, ARCHIVES[ending], size)

    @property
    def name(self) -> str:
        ending = next(each for each in ARCHIVES if self.path.name.lower().endswith(each))
        return utf8(self.path.name[: -len(ending)])

    def pieces(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            yield from _exactly(file.fileno(), self.size, self.path)


@dataclass(frozen=True)
class Folder:
    """A folder's files, sent as a tar without a copy on disk or in memory; the same bytes each time.

    `files`: path below the folder and bytes of each, sorted. Hidden files and folders stay behind, and so do symbolic
    links, but for those to a file of this folder: `left_out` names them.
    """

    path: Path
    files: tuple[tuple[str, int], ...]
    left_out: tuple[str, ...]
    media_type: ClassVar[str] = "application/x-tar"

    @classmethod
    def at(cls, path: Path) -> Self:
        """Raises InvalidInput for a folder without a file."""
        left_out: list[str] = []
        files = tuple(_walk(path, path.resolve(), "", left_out))
        if not files:
            raise InvalidInput(f"A folder to upload must have files that are not hidden; {path} has none.")
        return cls(path, files, tuple(left_out))

    @property
    def name(self) -> str:
        return utf8(self.path.resolve().name)

    @cached_property
    def size(self) -> int:
        members = sum(len(_header(name, size)) + size + _padding(size) for name, size in self.files)
        return members + 2 * tarfile.BLOCKSIZE

    def pieces(self) -> Iterator[bytes]:
        for name, size in self.files:
            yield _header(name, size)
            path = self.path / name
            try:
                with path.open("rb") as file:
                    yield from _exactly(file.fileno(), size, path)
            except FileNotFoundError:
                raise _changed(path, "is gone") from None
            yield bytes(_padding(size))
        yield bytes(2 * tarfile.BLOCKSIZE)


def utf8(name: str) -> str:
    """The name, as it is. Raises InvalidInput for one that the file system spells in bytes of another kind."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"A file to send must have a name in UTF-8; received {os.fsencode(name)!r}.") from None
    return name


Body = Archive | Folder  # `size`: bytes; `pieces` starts from the beginning each time, for another try


def open_body(source: Source) -> Body:
    """What to send for a folder or an archive file. Raises InvalidInput where it is neither."""
    path = Path(source)
    if path.is_dir():
        return Folder.at(path)
    if not path.is_file():
        raise InvalidInput(f"An upload takes a folder or an archive file; there is none at {path}.")
    return Archive.at(path)


def _walk(folder: Path, root: Path, prefix: str, left_out: list[str]) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = prefix + entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not (entry.is_file() and Path(entry.path).resolve().is_relative_to(root)):
            left_out.append(name)
        elif entry.is_dir():
            yield from _walk(Path(entry.path), root, f"{name}/", left_out)
        elif entry.is_file():
            yield name, entry.stat().st_size


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")


def _padding(size: int) -> int:
    return -size % tarfile.BLOCKSIZE


def _exactly(descriptor: int, size: int, path: Path) -> Iterator[bytes]:
    """As many bytes as were promised. Raises InvalidInput where the file has become shorter."""
    left = size
    while left:
        piece = os.read(descriptor, min(left, PIECE))
        if not piece:
            raise _changed(path, "has become shorter")
        left -= len(piece)
        yield piece


def _changed(path: Path, how: str) -> InvalidInput:
    return InvalidInput(f"A file must stay as it is while it is sent; {path} {how}. Upload again.")
