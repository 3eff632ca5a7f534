"""The pictures of a request, in every form of body: the parts of a form, JSON with base64, one picture as it is."""

import base64
import re
from typing import Any, Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.bodies import FORM, JSON, Part, body, media_type, multipart
from app.deps import Services
from app.examples import INSTANCES
from app.json_route import read_object
from app.prediction_schemas import Instance, Instances
from graft.engine.answers import File
from graft.errors import InvalidFields, InvalidInput, NotAPicture, TooLarge
from graft.images import sniff

_OBJECT: Final = re.compile(rb"\s*\{")  # how JSON begins, and no picture
# What curl's --data-binary says of everything, and -d too, which takes the NULs and line ends out of a file.
_CURLS: Final = "application/x-www-form-urlencoded"
# How many of `,`, `[` and `{` an instance has at most: a brace, three commas (one of them a data URL's), a name of 200.
# Tiny values by the million would take a hundred times their size in memory, and hold up everybody while they are read.
_SIGNS: Final = 204
_ADVICE: Final = ' Send {"instances": [{"b64": "…"}]}, with base64 without line breaks, as base64 -w 0 makes it.'

_BINARY: Final = {"type": "string", "format": "binary"}
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "Pictures: JPEG, PNG, WebP, GIF, BMP or TIFF, told by content. One or more `file` parts; or "
        "JSON with base64, plain or as a data URL; or one picture as it is, with any content type or none.",
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": _BINARY}},
                    "required": ["file"],
                },
                "encoding": {"file": {"contentType": "image/*"}},
            },
            JSON: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "instances": {"type": "array", "minItems": 1, "items": Instance.model_json_schema()}
                    },
                    "required": ["instances"],
                    "additionalProperties": False,
                },
                "example": INSTANCES,
            },
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
        },
    }
}


async def pictures_unless_busy(request: Request, services: Services, timeout: float | None) -> list[File]:
    """Every picture of a request for predictions. Raises Unavailable before it is read, and what `pictures` does."""
    services.engine.get().refuse_when_busy(timeout)
    limits = services.limits
    return await pictures(request, limit=limits.predict_bytes, count=limits.predict_pictures)


async def pictures(request: Request, *, limit: int, count: int) -> list[File]:
    """Every picture in order: at least one, none of them empty.

    Raises TooLarge beyond `limit` bytes or `count` pictures, InvalidInput, InvalidFields and RequestValidationError for
    a body in none of the forms, NotAPicture for bytes that a caller cannot have meant to send.
    """
    declared = media_type(request)
    if declared == FORM:
        return await _parts(request, limit, count)
    data = b"".join([piece async for piece in body(request, limit)])
    if _OBJECT.match(data) or (declared == JSON and sniff(data) is None):
        return await run_in_threadpool(_instances, data, count)
    if declared == _CURLS and data.startswith((b"\xff\xd8\xff", b"\x89PNG")) and not re.search(rb"[\0\r\n]", data):
        raise NotAPicture(
            "A picture must arrive as it is; this one has lost its line ends and NULs, as curl's -d does it. "
            "Send it with --data-binary @FILE."
        )
    return [(None, data)]


async def _parts(request: Request, limit: int, count: int) -> list[File]:
    found: list[tuple[str | None, bytearray]] = []
    async for event in multipart(request, limit, {"file"}):
        if isinstance(event, Part):
            if len(found) == count:
                raise _too_many(count)
            found.append((event.filename, bytearray()))
        else:
            found[-1][1].extend(event)
    if not found:
        raise InvalidInput("A multipart body must have one or more parts named file; received none.")
    for filename, data in found:
        if not data:
            raise InvalidInput(f"A picture must not be empty; received no bytes for {filename or 'a part'}.")
        if filename is None and sniff(bytes(data[:64])) is None:
            raise NotAPicture(
                f"A part named file must hold a picture; received {repr(bytes(data[:40]))[1:]} without a filename. "
                "With curl, write an @ before the file's path: -F file=@PATH."
            )
    return [(filename, bytes(data)) for filename, data in found]


def _instances(data: bytes, count: int) -> list[File]:
    """Those of a JSON body. Blocks for as long as megabytes take to be read."""
    if sum(data.count(sign) for sign in (b",", b"[", b"{")) > count * _SIGNS + 2:
        raise _too_many(count)
    read = read_object(data, _ADVICE)
    given = read.get("instances")
    if isinstance(given, list) and len(given) > count:
        raise _too_many(count)
    try:
        instances = Instances.model_validate(read).instances
    except ValidationError as wrong:
        # Of unknown fields, not all of the megabytes that their names may have.
        found = [{**each, "loc": ("body", *(str(part)[:100] for part in each["loc"]))} for each in wrong.errors()[:20]]
        raise RequestValidationError(found) from None
    return [(instance.filename, _from_base64(instance.b64, i)) for i, instance in enumerate(instances)]


def _from_base64(text: str, index: int) -> bytes:
    """Base64 of RFC 4648, section 4. Passed over: a data URL's beginning, and white space, as MIME has it."""
    plain = text.rpartition(";base64,")[2] if text.startswith("data:") else text
    try:
        data = base64.b64decode(plain.encode().translate(None, b" \t\r\n"), validate=True)
    except ValueError as error:
        raise InvalidFields(
            f"instances.{index}.b64 must be base64 with the alphabet A-Z a-z 0-9 + / and = at the end; "
            f"received {text[:40]!r}: {str(error)[:1].lower()}{str(error)[1:]}."
        ) from None
    if not data:
        raise InvalidFields(f"instances.{index}.b64 must not be empty; received no bytes.")
    return data


def _too_many(count: int) -> TooLarge:
    return TooLarge(f"A request takes at most {count} pictures; received more. Send the others in another one.")
