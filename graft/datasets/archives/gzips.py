"""Gzip files as a stream of what they hold, at a cost that their size bounds."""

import io
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

from graft.errors import InvalidInput, TooLarge

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib's number for the format: it then checks headers, checksums and lengths itself
_PIECE: Final = 1 << 14
_FREE: Final = 1 << 20  # bytes that come out before the ratio counts: a small tar is mostly zeros
_SILENT: Final = 1 << 20  # bytes of a member that go in before something must come out


class Gunzip(io.RawIOBase):
    """All members of a gzip file, one after the other; to be wrapped into a BufferedReader.

    gzip.GzipFile does not do: it spends a Python call on every byte of a header's file name and of padding, and
    microseconds on each empty member, of which a large file can hold hundreds of millions.

    Reading raises InvalidInput for a damaged file, and for one that is nothing but headers for long; TooLarge for more
    than `members` and for what unpacks to more than `ratio` times the bytes read so far. name: for messages.
    """

    def __init__(self, file: BinaryIO, name: str = "this one", *, ratio: int, members: int) -> None:
        self._file = file
        self._name = name
        self._ratio = ratio
        self._limit = members
        self._members = 0
        self._packed = 0
        self._unpacked = 0
        self._silent = 0
        self._waiting = b""
        self._member: zlib._Decompress | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        data = self._next(len(view))
        view[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes:
        """Some bytes, `size` at most; none at the end of the file."""
        while member := self._member or self._begin():
            if data := self._unpack(member, size):
                self._silent = 0
                return data
            if self._member and not self._waiting:
                if not self._fill():
                    raise self._broken("it ends in the middle, as after an upload that was cut short")
                self._silent += len(self._waiting)
                if self._silent > _SILENT:
                    raise self._broken("it goes on and on without unpacking to anything")
        return b""

    def _begin(self) -> "zlib._Decompress | None":
        """The next member, where there is one. Behind the last, zeros may stand."""
        while not self._waiting:
            if not self._fill():
                return None
            if self._members:
                self._waiting = self._waiting.lstrip(b"\0")
        self._members, self._silent = self._members + 1, 0
        if self._members > self._limit:
            raise TooLarge(
                f"A gzip file may have at most {self._limit:,} parts; {self._name} has more. Pack it in one go."
            )
        self._member = zlib.decompressobj(_GZIP)
        return self._member

    def _unpack(self, member: "zlib._Decompress", size: int) -> bytes:
        try:
            data = member.decompress(self._waiting, size)
        except zlib.error as error:
            raise self._broken(str(error)) from error
        if member.eof:
            self._member, self._waiting = None, member.unused_data.lstrip(b"\0")
        else:
            self._waiting = member.unconsumed_tail
        self._unpacked += len(data)
        if self._unpacked > self._packed * self._ratio + _FREE:
            raise TooLarge(
                f"A gzip file may unpack to at most {self._ratio} times its size; {self._packed:,} bytes of "
                f"{self._name} unpack to over {self._unpacked:,}. Save the pictures in a compressed format, or send a "
                "plain tar."
            )
        return data

    def _fill(self) -> bool:
        """Whether the file has more bytes."""
        self._waiting = self._file.read(_PIECE)
        self._packed += len(self._waiting)
        return bool(self._waiting)

    def _broken(self, reason: str) -> InvalidInput:
        return InvalidInput(
            f"A gzip file must be complete and undamaged; {self._name} is not: {reason}. Pack it again."
        )
