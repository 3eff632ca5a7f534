"""The pictures of a prediction's body."""

from fastapi import Request

from app.uploads import Part, body, media_type, multipart
from graft.errors import InvalidInput, TooLarge


async def pictures(request: Request, *, limit: int, count: int) -> list[tuple[str | None, bytes]]:
    """(filename, bytes) of every `file` part of a multipart body; any other body is one picture without a name.

    Raises TooLarge beyond `limit` bytes or `count` pictures, InvalidInput for a body with no picture in it.
    """
    if media_type(request) != "multipart/form-data":
        return [(None, b"".join([piece async for piece in body(request, limit)]))]
    found: list[tuple[str | None, bytearray]] = []
    async for event in multipart(request, limit, {"file"}):
        if isinstance(event, Part):
            if len(found) == count:
                raise TooLarge(f"A request takes at most {count} pictures; received more.")
            found.append((event.filename, bytearray()))
        else:
            found[-1][1].extend(event)
    if not found:
        raise InvalidInput("A multipart body must have one or more parts named file; received none.")
    for filename, data in found:
        if not data:
            raise InvalidInput(f"A picture must not be empty; received no bytes for {filename or 'a part'}.")
    return [(filename, bytes(data)) for filename, data in found]
