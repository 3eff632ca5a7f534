"""Every failure as RFC 9457 `application/problem+json`; which exception answers with which status is one table."""

import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import iter_route_contexts
from sqlalchemy import exc
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from app.schemas import Problem
from graft import errors
from graft.training.recipe import Recipe

log = logging.getLogger("graft.app")
DATABASE_RETRY_SECONDS = 5
_POSTGRESQL_DISK_FULL = "53100"  # postgresql.org/docs/current/errcodes-appendix.html


@dataclass(frozen=True)
class Kind:
    """How one class of errors is answered. `type` is for programs and never changes; `title` is for people."""

    status: int
    title: str
    name: str

    @property
    def type(self) -> str:
        return f"urn:graft:error:{self.name}"


# Looked up along the exception's base classes: a subclass without a row answers as its base does.
KINDS: dict[type[errors.GraftError], Kind] = {
    errors.InvalidInput: Kind(400, "Malformed request", "invalid-input"),
    errors.InvalidFields: Kind(422, "Invalid fields", "invalid-fields"),
    errors.NotAPicture: Kind(415, "Not a picture", "not-a-picture"),
    errors.NotAnArchive: Kind(415, "Not an archive", "not-an-archive"),
    errors.TooLarge: Kind(413, "Too large", "too-large"),
    errors.NotFound: Kind(404, "Not found", "not-found"),
    errors.Conflict: Kind(409, "Conflict", "conflict"),
    errors.Unavailable: Kind(503, "Not available now", "unavailable"),
    errors.MissingWeights: Kind(503, "Weights are missing", "missing-weights"),
    errors.DiskFull: Kind(507, "Disk full", "disk-full"),
    errors.CorruptVersion: Kind(500, "Damaged model version", "corrupt-version"),
}
# Statuses that the framework and the key check answer with by themselves.
BY_STATUS = {
    400: KINDS[errors.InvalidInput],
    401: Kind(401, "Key required", "key-required"),
    404: KINDS[errors.NotFound],
    405: Kind(405, "Method not allowed", "method-not-allowed"),
    413: KINDS[errors.TooLarge],
    422: KINDS[errors.InvalidFields],
    499: Kind(499, "Caller left", "caller-left"),  # nginx's number for it
    500: Kind(500, "Internal error", "internal"),
}


def kind_of(error: errors.GraftError) -> Kind:
    return next((KINDS[base] for base in type(error).__mro__ if base in KINDS), BY_STATUS[500])


def problem(kind: Kind, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any) -> JSONResponse:
    """The answer for one failure; `extra` are RFC 9457 extension members."""
    body = Problem(type=kind.type, title=kind.title, status=kind.status, detail=detail, error=detail, **extra)
    return JSONResponse(body.model_dump(), kind.status, headers, media_type="application/problem+json")


def internal(request_id: str) -> JSONResponse:
    """For what nobody foresaw: the traceback is in the log, under the request's id."""
    detail = f"The service failed on this request; the cause is in its log under request id {request_id}."
    return problem(BY_STATUS[500], detail, request_id=request_id)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` of a route under /api/v1: these statuses, and those that any of them can answer with."""
    return documented(401, 422, 500, 503, *statuses)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _response(status) for status in sorted(set(statuses))}


def _response(status: int) -> dict[str, Any]:
    kinds = [kind for kind in (*KINDS.values(), *BY_STATUS.values()) if kind.status == status]
    titles = list(dict.fromkeys(kind.title for kind in kinds))
    example = {"type": kinds[0].type, "title": titles[0], "status": status, "detail": "…", "error": "…"}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    return {"description": ", or: ".join(titles), "content": {"application/problem+json": content}}


def install(app: FastAPI) -> None:
    app.add_exception_handler(errors.GraftError, _graft_error)
    app.add_exception_handler(exc.DBAPIError, _database_error)
    app.add_exception_handler(exc.TimeoutError, _database_error)  # all connections of the pool are in use
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(ClientDisconnect, _disconnected)


def _graft_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.GraftError) or kind_of(error) is BY_STATUS[500]:
        raise error
    headers = {}
    if isinstance(error, errors.Conflict | errors.Unavailable) and error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.CorruptVersion | errors.DiskFull):
        log.error("%s", error)
    return problem(kind_of(error), str(error), headers=headers)


def _database_error(request: Request, error: Exception) -> Response:
    """A database that is away or full is an answer; an error in our own SQL is not."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    sqlite_code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF  # without the extension
    if sqlite_code == sqlite3.SQLITE_FULL or getattr(cause, "sqlstate", None) == _POSTGRESQL_DISK_FULL:
        return _graft_error(request, errors.DiskFull("The database needs room, and its disk is full. Free some."))
    invalidated = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    away = isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError) or invalidated
    if not away or sqlite_code == sqlite3.SQLITE_ERROR:
        raise error
    log.warning("The database does not answer: %s", " ".join(str(cause).split()))
    sentence = "The database must answer before this request can; it does not. Ask again soon."
    return _graft_error(request, errors.Unavailable(sentence, retry_after=DATABASE_RETRY_SECONDS))


def _validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        reason = found[0].get("ctx", {}).get("error", "it cannot be read")
        return problem(BY_STATUS[400], f"The body must be JSON; it is not: {reason}.")
    # The framework leaves a body that is not called JSON in bytes: a web page may send such a one to any address
    # without leave, and a service on its visitor's own machine must not act on it.
    sentences = [_not_called_json(request) if isinstance(each["input"], bytes) else _sentence(each) for each in found]
    return problem(BY_STATUS[422], " ".join(sentences))


def _not_called_json(request: Request) -> str:
    received = request.headers.get("Content-Type", "none")
    return (
        f"The body must be JSON with the header Content-Type: application/json; received the header {received:.100}. "
        "With curl, add: -H 'Content-Type: application/json'"
    )


def _sentence(found: Mapping[str, Any]) -> str:
    """One of pydantic's findings as a sentence that names the field."""
    field = ".".join(str(part) for part in found["loc"][1:]) or "The body"
    if found["type"] == "missing":
        return f"{field} is required; it is not there. /docs shows what this route takes."
    if found["type"] == "string_pattern_mismatch":  # schemas.TEXT is the only pattern
        return f"{field} must have 1 to 200 characters, none of them NUL; received {_short(found['input'])}."
    if found["type"] in ("model_attributes_type", "model_type"):
        return f"{field} must be a JSON object; received {_short(found['input'])}."
    if found["type"] == "extra_forbidden" and field in Recipe.model_fields:
        return f"{field} is no field of this request but one of a recipe: put it inside recipe, in POST /api/v1/jobs."
    if found["type"] == "extra_forbidden":
        return f"{field} is no field of this request; take it out."
    message = str(found["msg"])
    if found["type"] == "value_error":  # our own validators write whole sentences
        return message.removeprefix("Value error, ")
    return f"{field}: {message[:1].lower()}{message[1:]}; received {_short(found['input'])}."


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:99] + "…"


def _http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail, headers = error.detail, dict(error.headers or {})
    if error.status_code == 404:
        hint = " Leave the slash at its end out." if request.url.path.endswith("/") else ""
        detail = f"No route answers at {request.url.path}; /docs lists those that do.{hint}"
    elif error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
        detail = f"{request.url.path} takes {headers['Allow']}; received {request.method}."
    phrase = HTTPStatus(error.status_code).phrase
    kind = BY_STATUS.get(error.status_code) or Kind(error.status_code, phrase, phrase.lower().replace(" ", "-"))
    return problem(kind, detail, headers=headers)


def _methods(request: Request) -> list[str]:
    """What the path takes. (The exception knows only the methods of the first route that has this path.)"""
    routes = [route for route in iter_route_contexts(request.app.routes) if route.path]
    fitting = [route for route in routes if compile_path(route.path or "")[0].match(request.url.path)]
    return sorted({method for route in fitting for method in route.methods or ()})


def _disconnected(_request: Request, _error: Exception) -> Response:
    """The caller hung up: nobody reads this answer, only its status is counted."""
    return problem(BY_STATUS[499], "The caller must stay until it is answered; it has closed its connection.")
