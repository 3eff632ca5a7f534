"""Server-sent events, out of the bytes of a `text/event-stream` (html.spec.whatwg.org, 9.2.6)."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r(?!$)")  # a \r at the end may be half of \r\n


@dataclass(frozen=True)
class Message:
    kind: str
    data: str


async def messages(pieces: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """Each whole message; comments, ids, and a message that was cut off are passed over."""
    kind, data = "message", list[str]()
    async for line in _lines(pieces):
        if not line:
            if data:
                yield Message(kind, "\n".join(data))
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    waiting = b""
    async for piece in pieces:
        *lines, waiting = _LINE_END.split(waiting + piece)
        for line in lines:
            yield line.decode("utf-8", "replace")
