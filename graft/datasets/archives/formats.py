"""Which kind of archive a file is, told by its content alone."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from graft.datasets.archives import ArchiveLimits, ArchiveReader
from graft.datasets.archives.tars import TarReader, is_header
from graft.datasets.archives.zips import ZipReader
from graft.errors import NotAnArchive, TooLarge

HEAD = 512  # bytes that tell


def open_archive(path: Path, limits: ArchiveLimits) -> AbstractContextManager[ArchiveReader]:
    """The reader for the archive's format. Raises NotAnArchive, InvalidInput (damaged), TooLarge."""
    size = path.stat().st_size
    if size > limits.bytes:
        raise TooLarge(f"An archive may be at most {limits.bytes:,} bytes; received {size:,}. Send fewer pictures.")
    with path.open("rb") as file:
        head = file.read(HEAD)
    kind = readable_kind(head)
    return ZipReader(path, limits) if kind == "a zip file" else TarReader(path, limits, packed=kind == "a gzip file")


def readable_kind(head: bytes) -> str:
    """The kind of archive that begins so, with HEAD bytes or all that there are. Raises NotAnArchive."""
    kind = archive_kind(head)
    if kind in ("a zip file", "a gzip file", "a tar file"):
        return kind
    if is_header(head):  # the oldest tars have no signature
        return "a tar file"
    if head and not head.strip(b"\0"):
        raise NotAnArchive("An archive must hold files; received an empty tar. Is the folder the one that you mean?")
    begin = ascii(head[:12].decode("latin-1"))
    received = kind or (f"bytes that begin with {begin}" if head else "an empty file")
    raise NotAnArchive(f"An archive must be a zip, tar or tar.gz file; received {received}. Pack the folder as one.")


_SIGNATURES: Final = (
    (0, b"PK\x03\x04", "a zip file"),
    (0, b"PK\x05\x06", "a zip file"),  # one without members
    (0, b"PK\x07\x08", "a part of a split zip file"),
    (0, b"\x1f\x8b\x08", "a gzip file"),
    (257, b"ustar", "a tar file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z file"),
    (0, b"Rar!\x1a\x07", "a rar file"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (4, b"1AY&SY", "a bzip2 file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
)


def archive_kind(head: bytes | bytearray) -> str | None:
    """What the first HEAD bytes of a file, or more of them, say; None where they are no archive's."""
    return next((kind for offset, signature, kind in _SIGNATURES if head.startswith(signature, offset)), None)
