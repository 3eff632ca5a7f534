"""Zip archives, read with the standard library behind the checks that it lacks.

Everything that the central directory says is checked before a member is read: the number of entries before the
directory is even loaded, sizes, overlaps (the trick of zip bombs that beat a ratio), links, encryption.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from graft.datasets.archives import CHUNK, ArchiveLimits, check_size
from graft.datasets.names import shown
from graft.errors import InvalidInput, TooLarge

# What zipfile raises for damaged archives, besides OSErrors: those are about our own disk.
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OverflowError,
    RuntimeError,  # and so NotImplementedError
    ValueError,  # and so UnicodeDecodeError
)
_ENTRY: Final = struct.Struct("<4s24x3H12x")  # of the central directory: signature, lengths of name, extra and comment
_END: Final = struct.Struct("<4s4x2H2LH")  # end of the directory: entries here, entries, size, offset, comment length
_END64: Final = struct.Struct("<4s20x4Q")  # its zip64 form, and a locator between it and the plain one
_LOCATOR64: Final = struct.Struct("<4sLQL")
_LOCAL_HEADER = 30
MEAN_ENTRY = 256  # bytes, over the directory: zipfile has all of it in memory
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # traditional, strong, masked headers


@dataclass(frozen=True)
class ZipMember:
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    @property
    def name(self) -> str:
        """Finder writes UTF-8 without saying so, which the standard reads as code page 437."""
        name = self.info.orig_filename
        if self.info.flag_bits & 0x800:
            return name
        try:
            return name.encode("cp437").decode()
        except UnicodeError:
            return name

    @property
    def is_folder(self) -> bool:
        return self.info.is_dir()

    def chunks(self) -> Iterator[bytes]:
        received = 0
        try:
            with self.archive.open(self.info) as stream:
                while chunk := stream.read(CHUNK):
                    received += len(chunk)
                    yield chunk
        except _DAMAGE as error:
            raise InvalidInput(
                f"Every file of an archive must unpack without error; {shown(self.name)} does not: {error}. "
                "Pack the folder again."
            ) from error
        if received != self.info.file_size:
            raise InvalidInput(
                f"A file's size must be what the archive says; {shown(self.name)} claims {self.info.file_size:,} bytes "
                f"and holds {received:,}. Pack the folder again."
            )


class ZipReader:
    """An ArchiveReader, and a context manager. Raises InvalidInput, TooLarge."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._file = path.open("rb")
        try:
            _count_entries(self._file, path.stat().st_size, limits.entries)
            self._zip = zipfile.ZipFile(self._file)
            self._members = self._checked()
        except _DAMAGE as error:
            self._file.close()
            raise broken(str(error)) from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    def members(self) -> Iterator[ZipMember]:
        yield from self._members

    def _checked(self) -> list[ZipMember]:
        """The members, once all that the directory says of them has been checked."""
        members = [ZipMember(self._zip, info) for info in self._zip.infolist()]
        for member in members:
            _check_kind(member)
            _check_size(member, self._limits)
        total = sum(member.info.file_size for member in members)
        if total > self._limits.bytes:
            raise TooLarge(
                f"An archive may unpack to at most {self._limits.bytes:,} bytes; this one claims {total:,}. "
                "Send fewer pictures."
            )
        _check_overlaps([member.info for member in members], self._zip.start_dir)
        return members


def broken(reason: str) -> InvalidInput:
    return InvalidInput(f"A zip archive must be complete and undamaged; this one is not: {reason}. Pack it again.")


def _count_entries(file: BinaryIO, size: int, limit: int) -> None:
    """Find the directory as zipfile will, and count what it holds without keeping it: the claimed number may lie."""
    claimed, length, end = _end_of_directory(file, size)
    message = f"An archive may have at most {limit:,} entries; this one has {{}}. Send fewer pictures."
    if claimed > limit:
        raise TooLarge(message.format(f"{claimed:,}"))
    if length > limit * MEAN_ENTRY:
        raise TooLarge(
            f"A zip's directory may have at most {limit * MEAN_ENTRY:,} bytes; this one has {length:,}. "
            "Shorten the names of folders, or send fewer pictures."
        )
    position, count = end - length, 0
    while position < end:
        file.seek(position)
        header = file.read(_ENTRY.size)
        if len(header) < _ENTRY.size or not header.startswith(b"PK\x01\x02"):
            raise broken("its directory is damaged")
        count += 1
        if count > limit:
            raise TooLarge(message.format("more"))
        position += _ENTRY.size + sum(_ENTRY.unpack(header)[1:])
    if position > end:
        raise broken("its directory is damaged")


def _end_of_directory(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """(claimed entries, bytes of the directory, where it ends)."""
    file.seek(max(0, size - _END.size - (1 << 16)))
    tail = file.read()
    at = len(tail) - _END.size
    if at < 0 or tail[at : at + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
        at = tail.rfind(b"PK\x05\x06")  # a comment follows
    if at < 0 or at + _END.size > len(tail):
        raise broken("its end is missing, as after an upload that was cut short")
    _, _, entries, length, _, _ = _END.unpack_from(tail, at)
    end = size - len(tail) + at
    end64 = end - _LOCATOR64.size - _END64.size
    if end64 >= 0:
        file.seek(end64)
        record = file.read(_END64.size + _LOCATOR64.size)
        if record.startswith(b"PK\x06\x06") and record.startswith(b"PK\x06\x07", _END64.size):
            _, _, entries, length, _ = _END64.unpack_from(record)
            end = end64
    if length > end:
        raise broken("its directory is longer than the archive")
    return entries, length, end


def _check_kind(member: ZipMember) -> None:
    info = member.info
    if not info.filename:  # which zipfile's own is_dir() cannot take
        raise broken("a member has no name")
    if info.is_dir() and info.file_size:
        raise broken(f"{shown(member.name)} is a folder and claims {info.file_size:,} bytes")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InvalidInput(
            f"An archive may hold files and folders only; {shown(member.name)} is a link or a device. "
            "Pack the files themselves (zip does so unless told -y)."
        )
    if info.flag_bits & _ENCRYPTED:
        raise InvalidInput(f"An archive must not be encrypted; {shown(member.name)} is. Pack it without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidInput(
            f"A zip's files must be stored or deflated; {shown(member.name)} uses method {info.compress_type}. "
            "Pack it with another program, or with its default method."
        )


def _check_size(member: ZipMember, limits: ArchiveLimits) -> None:
    packed, unpacked = member.info.compress_size, member.info.file_size
    check_size(member.name, unpacked, limits)
    if unpacked > packed * limits.ratio:
        raise TooLarge(
            f"A file may unpack to at most {limits.ratio} times its packed size; {shown(member.name)} claims "
            f"{packed:,} bytes packed and {unpacked:,} unpacked. Save it in a compressed format, or store it (zip -0)."
        )


def _check_overlaps(infos: list[zipfile.ZipInfo], directory: int) -> None:
    """Members must lie one behind the other, from the start to the directory."""
    free = 0
    infos = sorted(infos, key=lambda info: info.header_offset)
    if infos and infos[0].header_offset > 0:
        raise broken("something stands before its first file")
    for info in infos:
        if info.header_offset < free:
            raise broken(f"{shown(info.orig_filename)} overlaps another file")
        free = info.header_offset + _LOCAL_HEADER + info.compress_size
    if free > directory:
        raise broken("a file overlaps its directory")
