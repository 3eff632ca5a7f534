"""Routes with a JSON body, which the framework reads whole: for whoever has a key, no more than a limit, strictly."""

from collections.abc import Callable, Coroutine
from json import JSONDecodeError
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.types import Message

from app.auth import require_key
from graft.errors import InvalidFields, InvalidInput

LIMIT = 1024 * 1024  # bytes


def read_object(data: bytes, advice: str = "") -> dict[str, Any]:
    """A body that is a JSON object. advice: what to send instead. Raises InvalidInput, InvalidFields."""
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput(f"The body must be JSON; it is not: {error}.{advice}") from None
    if not isinstance(value, dict):
        raise InvalidFields(f"The body must be a JSON object; received {value!r:.100}.{advice}")
    return value


class StrictRequest(Request):
    """Takes JSON as RFC 8259 has it. Python's own parser also takes NaN and lone halves of surrogate pairs, which
    neither PostgreSQL nor an answer could hold."""

    async def json(self) -> Any:
        body = await self.body()
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise JSONDecodeError(str(error), body.decode("utf-8", "replace"), 0) from None


class JsonRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            await require_key(request)  # the framework would read and parse the body first
            received = 0

            async def receive() -> Message:
                nonlocal received
                message = await request.receive()
                received += len(message.get("body", b""))
                if received > LIMIT:
                    # No GraftError: the framework takes any but its own for a body that it cannot parse.
                    raise HTTPException(413, f"The body must be at most {LIMIT} bytes; received more.")
                return message

            return await handle(StrictRequest(request.scope, receive))

        return bounded
