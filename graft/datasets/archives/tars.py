"""Tar archives, plain or in gzip, read from front to end in pieces that fit into memory.

Headers are read by the standard library's TarInfo. Its TarFile does not do: it takes a damaged header for the end of
the archive, and reads extended headers into memory whatever their size.
"""

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol, Self

from graft.datasets.archives import CHUNK, ArchiveLimits, check_size
from graft.datasets.archives.gzips import Gunzip
from graft.datasets.names import shown
from graft.errors import InvalidInput, NotAnArchive, TooLarge

BLOCK = tarfile.BLOCKSIZE
_FILES: Final = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
# What may stand before a file's own header, to say what does not fit there.
_EXTENDED: Final = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
MAX_EXTENDED = 1 << 20  # bytes
MAX_RECORDS = 100
_RECORD: Final = re.compile(rb"([0-9]{1,7}) ([^=\n]+)=")
_CUT: Final = "it ends in the middle, as after an upload that was cut short"


def is_header(block: bytes) -> bool:
    """Whether an archive may begin with this block: told by its checksum, as the oldest have no signature."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return block.startswith(b"ustar", 257)
    return True


class _Source(Protocol):
    def read(self, size: int, /) -> bytes:
        """Fewer bytes only at the end."""


class _Stream:
    """The bytes of a tar, counted."""

    def __init__(self, source: _Source, limit: int) -> None:
        self._source = source
        self._limit = limit
        self._read = 0

    def read(self, size: int) -> bytes:
        """Fewer bytes only at the end."""
        data = self._source.read(size)
        self._read += len(data)
        if self._read > self._limit:
            raise TooLarge(
                f"An archive may unpack to at most {self._limit:,} bytes; this one unpacks to more. "
                "Send fewer pictures."
            )
        return data

    def exactly(self, size: int) -> bytes:
        data = self.read(size)
        if len(data) < size:
            raise broken(_CUT)
        return data


@dataclass
class TarMember:
    """left: bytes that are still to be read."""

    name: str
    is_folder: bool
    stream: _Stream
    left: int

    def chunks(self) -> Iterator[bytes]:
        while self.left:
            chunk = self.stream.exactly(min(CHUNK, self.left))
            self.left -= len(chunk)
            yield chunk


class TarReader:
    """An ArchiveReader, and a context manager. Raises InvalidInput, TooLarge; NotAnArchive for another gzip file."""

    def __init__(self, path: Path, limits: ArchiveLimits, *, packed: bool) -> None:
        self._limits = limits
        self._file = path.open("rb")
        try:
            self._stream = _Stream(_unpacked(self._file, limits) if packed else self._file, limits.bytes)
            self._first = self._stream.read(BLOCK)
            _check_begin(self._first, packed=packed)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def members(self) -> Iterator[TarMember]:
        header = _header(self._first)
        if header and header.type == tarfile.XGLTYPE:  # `git archive` has one, for a comment
            if self._extension(header):
                raise broken("its global header names files or sizes")
            header = self._next_header()
        while header:
            header, extended = self._extended(header)
            member = self._member(header, extended)
            padding = -member.left % BLOCK
            yield member
            for _ in member.chunks():
                pass  # what the caller left
            self._stream.exactly(padding)
            header = self._next_header()
        self._check_end()

    def _next_header(self) -> tarfile.TarInfo | None:
        return _header(self._stream.exactly(BLOCK))

    def _extended(self, header: tarfile.TarInfo) -> tuple[tarfile.TarInfo, dict[str, bytes]]:
        """A file's own header, and what the extended ones before it say."""
        kinds: set[bytes] = set()
        values: dict[str, bytes] = {}
        while header.type in _EXTENDED:
            said = self._extension(header)
            if header.type in kinds or said.keys() & values.keys():  # programs differ in which they follow
                raise broken("a file has two extended headers that say the same")
            kinds.add(header.type)
            values |= said
            following = self._next_header()
            if following is None:
                raise broken("its last header has no file")
            header = following
        return header, values

    def _extension(self, header: tarfile.TarInfo) -> dict[str, bytes]:
        """What an extended header says of the file behind it: `path`, `size`, and that it is sparse."""
        if not 0 <= header.size <= MAX_EXTENDED:
            raise broken(f"an extended header may have at most {MAX_EXTENDED:,} bytes, and one claims {header.size:,}")
        data = self._stream.exactly(header.size)
        self._stream.exactly(-header.size % BLOCK)
        if header.type == tarfile.GNUTYPE_LONGNAME:
            return {"path": data.rstrip(b"\0")}
        return {} if header.type == tarfile.GNUTYPE_LONGLINK else _records(data)

    def _member(self, header: tarfile.TarInfo, extended: dict[str, bytes]) -> TarMember:
        name, size = header.name, header.size
        if "path" in extended:
            name = extended["path"].decode("utf-8", "surrogateescape")
        if "size" in extended:
            size = _number(extended["size"])
        if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith(_SPARSE) for key in extended):
            raise InvalidInput(
                f"A tar's files must not be sparse; {shown(name)} is. Pack the folder again, without tar's -S."
            )
        is_folder = header.type == tarfile.DIRTYPE
        if not is_folder and header.type not in _FILES:
            raise InvalidInput(
                f"An archive may hold files and folders only; {shown(name)} is a link or a device. "
                "Pack the files themselves (tar does with --dereference --hard-dereference)."
            )
        if size < 0 or (is_folder and size):
            raise broken(f"{shown(name)} claims {size:,} bytes")
        check_size(name, size, self._limits)
        return TarMember(name, is_folder, self._stream, size)

    def _check_end(self) -> None:
        """Two blocks of zeros, and nothing but zeros behind them."""
        rest = self._stream.exactly(BLOCK)
        while rest:
            if rest.count(0) != len(rest):
                raise broken("something stands behind its end")
            rest = self._stream.read(CHUNK)


def _unpacked(file: BinaryIO, limits: ArchiveLimits) -> _Source:
    return io.BufferedReader(Gunzip(file, ratio=limits.ratio, members=limits.entries), 1 << 16)


def _check_begin(block: bytes, *, packed: bool) -> None:
    if packed and not is_header(block):
        raise NotAnArchive(
            "An archive must be a zip, tar or tar.gz file; received a gzip file that holds no tar. "
            "Pack the folder with tar -czf."
        )


def _header(block: bytes) -> tarfile.TarInfo | None:
    """None for the zeros at the end."""
    if len(block) < BLOCK:
        raise broken(_CUT)
    if block.count(0) == BLOCK:
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise broken("the header of a file is damaged") from None


_SPARSE: Final = "GNU.sparse"


def _records(data: bytes) -> dict[str, bytes]:
    """Of a pax header's lines `LENGTH KEY=VALUE` those that say where, how large or how sparse a file is."""
    values: dict[str, bytes] = {}
    at = 0
    for _ in range(MAX_RECORDS):
        if at == len(data):
            return values
        found = _RECORD.match(data, at)
        end = at + int(found[1]) if found else 0
        if found is None or not found.end() < end <= len(data) or data[end - 1] != ord("\n"):
            raise broken("an extended header is damaged")
        key = found[2].decode("utf-8", "replace")
        if key in ("path", "size") or key.startswith(_SPARSE):
            values[key] = data[found.end() : end - 1]
        at = end
    raise broken(f"an extended header may have at most {MAX_RECORDS} lines, and one has more")


def _number(text: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,19}", text):
        raise broken("an extended header is damaged")
    return int(text)


def broken(reason: str) -> InvalidInput:
    return InvalidInput(f"A tar archive must be complete and undamaged; this one is not: {reason}. Pack it again.")
