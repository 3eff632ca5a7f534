"""Request bodies as streams: limits hold while reading, and a form is taken apart as it arrives."""

import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from graft.errors import InvalidFields, InvalidInput, TooLarge

FORM: Final = "multipart/form-data"
JSON: Final = "application/json"
# Browsers and curl write these three characters so inside quotes, and leave every other one as it is (WHATWG HTML).
_ESCAPED: Final = {b"%22": b'"', b"%0D": b"\r", b"%0A": b"\n"}
# RFC 5987, which RFC 7578 forbids in forms and older clients write for names beyond ASCII.
_EXTENDED: Final = re.compile(rb"filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^\s;\"]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """The start of one part of a multipart body; its bytes follow."""

    name: str
    filename: str | None


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


async def gathered(request: Request, limit: int, size: int) -> AsyncIterator[bytes]:
    """The same in pieces of about `size` bytes: for work on each in another thread, which costs a hop."""
    waiting = bytearray()
    async for piece in body(request, limit):
        waiting += piece
        if len(waiting) >= size:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def media_type(request: Request) -> str:
    """The body's declared type, in lower case, without its parameters; empty when none was declared."""
    return parse_options_header(request.headers.get("content-type"))[0].decode("latin-1")


async def multipart(request: Request, limit: int, names: Collection[str]) -> AsyncIterator[Part | bytes]:
    """A multipart body as it arrives: each Part, then its bytes in pieces, then the next Part.

    Raises InvalidInput for a malformed or cut-off body, InvalidFields for a part that is not in `names`.
    """
    parser = FormParser(request, names)
    async for piece in body(request, limit):
        for event in parser.feed(piece):
            yield event
    parser.end()


class FormParser:
    """python-multipart's push parser turned round: feed it bytes, get what they complete; `end` after the last ones.

    Every method raises InvalidInput for what is no well-formed form, InvalidFields for a part that is not in `names`.
    """

    def __init__(self, request: Request, names: Collection[str]) -> None:
        boundary = parse_options_header(request.headers.get("content-type"))[1].get(b"boundary")
        if not boundary:
            raise InvalidInput(
                "Content-Type multipart/form-data must name a boundary; received none. "
                "Leave the header to the client: curl -F writes it."
            )
        self._names = names
        self._ended = False
        self._events: list[Part | bytes] = []
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        try:
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
        except FormParserError as error:
            raise _malformed(error) from None

    def feed(self, data: bytes) -> list[Part | bytes]:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed(error) from None
        events, self._events = self._events, []
        return events

    def end(self) -> None:
        if not self._ended:
            raise InvalidInput("A multipart body must end with its closing boundary; received a body that is cut off.")

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
        name = _text(options[b"name"])
        if name not in self._names:
            expected = ", ".join(sorted(self._names))
            raise InvalidFields(
                f"The parts of a multipart body are named {expected}; received {name[:100]!r}. "
                "What is none of these goes into the query."
            )
        self._events.append(Part(name, _filename(self._disposition, options)))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True


def _malformed(error: FormParserError) -> InvalidInput:
    return InvalidInput(f"The body must be well-formed multipart/form-data; it is not: {error}.")


def _filename(disposition: bytes, options: dict[bytes, bytes]) -> str | None:
    if extended := _EXTENDED.search(disposition):
        return unquote_to_bytes(extended[2]).decode(extended[1].decode(), "replace")
    plain = options.get(b"filename")
    if plain is None:
        return None
    for escaped, character in _ESCAPED.items():
        plain = plain.replace(escaped, character)
    return _text(plain)


def _text(raw: bytes) -> str:
    """Clients write names as UTF-8 (RFC 7578); old ones as they please."""
    return raw.decode("utf-8", "replace")
