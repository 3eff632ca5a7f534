"""Request bodies as streams: limits hold while reading, and what is large goes to disk as it comes."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from graft.disk import room_for
from graft.errors import InvalidFields, InvalidInput, TooLarge

# Written to disk in pieces of this size: a hop to another thread for every 64 KiB that arrives costs more than they do.
_PIECE = 1024 * 1024
# Bytes of a text field beside a file: a name or a number.
_FIELD = 4096


@dataclass(frozen=True)
class Part:
    """The start of one part of a multipart body; its bytes follow."""

    name: str
    filename: str | None


@dataclass(frozen=True)
class Upload:
    """What came with a file that has been received: what it was called, and the text fields beside it."""

    filename: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


async def body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body, piece by piece as it arrives. Raises TooLarge beyond `limit` bytes, InvalidInput when it is empty."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"The body must be at most {limit} bytes; received {declared}.")
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > limit:
            raise TooLarge(f"The body must be at most {limit} bytes; received more.")
        if piece:
            yield piece
    if not received:
        raise InvalidInput("The body must not be empty; received no bytes.")


def media_type(request: Request) -> str:
    """The body's declared type, in lower case, without its parameters; empty when none was declared."""
    return parse_options_header(request.headers.get("content-type"))[0].decode("latin-1")


async def archive_to(path: Path, request: Request, *, limit: int, fields: Collection[str]) -> Upload:
    """Stream the body, or the `archive` part of a multipart body, into a file at `path`.

    The file is removed again when anything fails, the caller's hanging up included. `fields` are the text fields that
    a multipart body may have. Raises TooLarge beyond `limit` bytes, DiskFull, InvalidInput for a body without archive.
    """
    try:
        with await run_in_threadpool(path.open, "wb", buffering=0) as file:
            if media_type(request) == "multipart/form-data":
                return await _archive_part(request, limit, fields, _Disk(file))
            disk = _Disk(file)
            async for piece in body(request, limit):
                await disk.write(piece)
            await disk.flush()
            return Upload()
    except BaseException:
        await run_in_threadpool(path.unlink, missing_ok=True)
        raise


async def _archive_part(request: Request, limit: int, fields: Collection[str], disk: "_Disk") -> Upload:
    archive: Part | None = None
    part: Part | None = None
    texts: dict[str, bytes] = {}
    async for event in multipart(request, limit, {"archive", *fields}):
        if isinstance(event, Part):
            part = event
            if part.name != "archive":
                texts[part.name] = b""
            elif archive:
                raise InvalidInput("A multipart body must have one part named archive; received a second one.")
            else:
                archive = part
        elif part is archive:
            await disk.write(event)
        elif part:
            texts[part.name] += event
            if len(texts[part.name]) > _FIELD:
                raise TooLarge(f"The field {part.name} must be at most {_FIELD} bytes; received more.")
    if archive is None:
        raise InvalidInput("A multipart body must have a part named archive; received none.")
    await disk.flush()
    if not disk.size:
        raise InvalidInput("An archive must not be empty; received no bytes.")
    return Upload(archive.filename, {name: text.decode("utf-8", "replace") for name, text in texts.items()})


class _Disk:
    """Gathers small pieces and writes them away from the event loop."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self._file = file
        self._waiting = bytearray()

    async def write(self, data: bytes) -> None:
        self.size += len(data)
        self._waiting += data
        if len(self._waiting) >= _PIECE:
            await self.flush()

    async def flush(self) -> None:
        await run_in_threadpool(self._write, bytes(self._waiting))
        self._waiting.clear()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        with room_for("An upload"):
            while rest:
                rest = rest[self._file.write(rest) :]


async def multipart(request: Request, limit: int, names: Collection[str]) -> AsyncIterator[Part | bytes]:
    """A multipart body as it arrives: each Part, then its bytes in pieces, then the next Part.

    Raises InvalidInput for a malformed or cut-off body, InvalidFields for a part that is not in `names`.
    """
    boundary = parse_options_header(request.headers.get("content-type"))[1].get(b"boundary")
    if not boundary:
        raise InvalidInput("Content-Type multipart/form-data must name a boundary; received none.")
    try:
        parser = _Parser(boundary)
        async for piece in body(request, limit):
            for event in parser.feed(piece):
                if isinstance(event, Part) and event.name not in names:
                    expected = ", ".join(sorted(names))
                    raise InvalidFields(f"The parts of a multipart body are named {expected}; received {event.name!r}.")
                yield event
    except FormParserError as error:
        raise InvalidInput(f"The body must be well-formed multipart/form-data; it is not: {error}.") from None
    if not parser.ended:
        raise InvalidInput("A multipart body must end with its closing boundary; received a body that is cut off.")


class _Parser:
    """python-multipart's push parser turned round: feed it bytes, get what they complete."""

    def __init__(self, boundary: bytes) -> None:
        self.ended = False
        self._events: list[Part | bytes] = []
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_end": self._on_end,
            },
        )

    def feed(self, data: bytes) -> list[Part | bytes]:
        self._parser.write(data)
        events, self._events = self._events, []
        return events

    def _on_part_begin(self) -> None:
        self._disposition = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if b"name" not in options:
            raise FormParserError("a part has no name in its Content-Disposition")
        filename = options.get(b"filename")
        self._events.append(Part(_text(options[b"name"]), None if filename is None else _text(filename)))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_end(self) -> None:
        self.ended = True


def _text(raw: bytes) -> str:
    """Clients write names as UTF-8 (RFC 7578); old ones as they please."""
    return raw.decode("utf-8", "replace")
