"""The files of a dataset on their way in: a body of any form, straight to disk and away from the event loop."""

import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from fastapi import Request
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.bodies import FORM, FormParser, Part, gathered, media_type
from app.deps import Services
from graft.datasets.intake import Intake
from graft.datasets.rows import MAX_NAME
from graft.errors import InvalidFields, InvalidInput, NotAnArchive, TooLarge

# Bytes that are worked on at a time: hundreds of small files for one hop to another thread.
_PIECE: Final = 1024 * 1024
# Bytes of a text field beside the files: a name, a number, a recipe.
_FIELD: Final = 4096
_NO_JSON: Final = (
    "Pictures come as an archive, or as a form; received JSON. "
    "JSON that opens a dataset goes to POST /api/v1/datasets, with Content-Type: application/json."
)
_SUFFIX: Final = re.compile(r"\.(zip|tgz|tar|tar\.\w+)$", re.IGNORECASE)
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Received:
    """What came beside the files: the text fields, and what the archive was called, without its suffix."""

    fields: dict[str, str] = field(default_factory=dict)
    name: str | None = None


def merged(query: M, body: Mapping[str, Any], **defaults: Any) -> M:
    """What the query says over the defaults, and what the body says over both. Raises RequestValidationError."""
    try:
        return type(query).model_validate({**defaults, **query.model_dump(exclude_unset=True), **body})
    except ValidationError as error:
        found = [each | {"loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from None


class _Body(Protocol):
    """A body on its way into an intake. Blocks on disk."""

    def feed(self, data: bytes) -> None: ...

    def end(self) -> Received: ...


@asynccontextmanager
async def taken_in(
    request: Request, services: Services, fields: Collection[str] = ()
) -> AsyncIterator[tuple[Intake, Received]]:
    """The body's files: an archive as it is, or a form with one `archive` part, or with many `file` parts.

    fields: the text fields that a form may have, before and after its files. Raises InvalidInput, InvalidFields,
    NotAnArchive, DiskFull, and TooLarge beyond the limits. What is not made a dataset's within is removed.
    """
    async with contextmanager_in_threadpool(services.datasets.intake()) as intake:
        into: _Body = _Archive(intake)
        if media_type(request) == FORM:
            into = _Form(intake, FormParser(request, {"archive", "file", *fields}))
        try:
            async for piece in gathered(request, services.limits.archive_bytes, _PIECE):
                await run_in_threadpool(into.feed, piece)
            received = await run_in_threadpool(into.end)
        except NotAnArchive:
            if await run_in_threadpool(_is_json, intake.archive):
                raise NotAnArchive(_NO_JSON) from None
            raise
        yield intake, received


class _Archive:
    """An archive as it is, whatever its content type: curl sends a form's when it is not told."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def feed(self, data: bytes) -> None:
        self._intake.append(data)

    def end(self) -> Received:
        self._intake.unpack()
        return Received()


class _Form:
    """The parts of a form: each file into the intake, an archive beside it."""

    def __init__(self, intake: Intake, parser: FormParser) -> None:
        self._intake = intake
        self._parser = parser
        self._part: Part | None = None
        self._files = False
        self._archive: Part | None = None
        self._fields: dict[str, bytes] = {}

    def feed(self, data: bytes) -> None:
        for event in self._parser.feed(data):
            if isinstance(event, Part):
                self._end_part()
                self._begin(event)
            elif self._part:
                self._write(self._part.name, event)

    def end(self) -> Received:
        self._parser.end()
        self._end_part()
        if self._archive:
            if not self._intake.archive.exists():
                raise InvalidInput("An archive must not be empty; received no bytes.")
            self._intake.unpack()
        elif not self._files:
            raise InvalidInput("A form must have a part named archive, or parts named file; received neither.")
        fields = {name: value.decode("utf-8", "replace") for name, value in self._fields.items()}
        called = self._archive.filename if self._archive else None
        return Received(fields, _SUFFIX.sub("", called)[:MAX_NAME] or None if called else None)

    def _begin(self, part: Part) -> None:
        if part.name in ("archive", "file") and (self._archive or (self._files and part.name == "archive")):
            raise InvalidFields("A form has one part named archive, or else parts named file; received another beside.")
        self._part = part
        if part.name == "archive":
            self._archive = part
        elif part.name == "file":
            self._files = True
            if part.filename is None:
                raise InvalidFields("A part named file must have a filename, such as cats/1.jpg; received one without.")
            self._intake.begin(part.filename)
        else:
            self._fields[part.name] = b""

    def _write(self, name: str, data: bytes) -> None:
        if name == "archive":
            self._intake.append(data)
        elif name == "file":
            self._intake.write(data)
        else:
            self._fields[name] += data
            if len(self._fields[name]) > _FIELD:
                raise TooLarge(f"The field {name} must be at most {_FIELD} bytes; received more.")

    def _end_part(self) -> None:
        if self._part and self._part.name == "file":
            self._intake.end()
        self._part = None


def _is_json(archive: Path) -> bool:
    with archive.open("rb") as file:
        return file.read(100).lstrip().startswith(b"{")


_BINARY: Final = {"type": "string", "format": "binary"}
_EXAMPLE: Final = {"file": ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"]}


def documented(fields: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`openapi_extra` of a route that calls `taken_in`. fields: schemas of a form's; more: other bodies, by type."""
    form = {"archive": _BINARY, "file": {"type": "array", "items": _BINARY}, **fields}
    archives = {kind: {"schema": _BINARY} for kind in ("application/zip", "application/x-tar", "application/gzip")}
    forms = {FORM: {"schema": {"type": "object", "properties": form}, "example": _EXAMPLE}}
    return {
        "requestBody": {
            "required": True,
            "description": "A folder of pictures. As an archive (zip, tar, tar.gz, told by content), as the body or as "
            "the part `archive` of a form; or as parts `file`, whose filenames are their paths in the folder. "
            "Its folders are the classes, on their own or inside train/, validation/ and test/.",
            "content": {**archives, **forms, **(more or {})},
        }
    }
