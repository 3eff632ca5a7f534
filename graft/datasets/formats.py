"""Which kind of archive a file is, told by its content alone."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from graft.datasets.archives import ArchiveLimits, ArchiveReader
from graft.datasets.zips import ZipReader
from graft.errors import NotAnArchive, TooLarge


def open_archive(path: Path, limits: ArchiveLimits) -> AbstractContextManager[ArchiveReader]:
    """The reader for the archive's format, told by content. Raises NotAnArchive, InvalidInput (damaged), TooLarge."""
    size = path.stat().st_size
    if size > limits.bytes:
        raise TooLarge(f"An archive may be at most {limits.bytes:,} bytes; received {size:,}. Send fewer pictures.")
    with path.open("rb") as file:
        kind = _sniff(file.read(512))
    if kind != "zip":
        raise NotAnArchive(f"An archive must be a zip file so far; received {kind}. Pack the folder as a zip.")
    return ZipReader(path, limits)


_SIGNATURES: Final = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),  # one without members
    (0, b"\x1f\x8b", "a gzip file"),
    (257, b"ustar", "a tar file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z file"),
    (0, b"Rar!", "a rar file"),
)


def _sniff(head: bytes) -> str:
    if not head:
        return "an empty file"
    named = (name for offset, signature, name in _SIGNATURES if head.startswith(signature, offset))
    return next(named, f"bytes that begin with {head[:12]!r}")
