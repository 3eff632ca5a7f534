"""How long a caller waits for a prediction: what it says beforehand, and that it has hung up."""

import asyncio
import re
from collections.abc import Awaitable
from math import inf
from typing import Annotated, TypeVar

import anyio
from fastapi import Header, Request
from pydantic import BeforeValidator, Field
from starlette.requests import ClientDisconnect

T = TypeVar("T")
HEADER = "X-Request-Timeout"
_DECIMAL = re.compile(r"\d+(\.\d+)?", re.ASCII)


def _seconds(value: object) -> object:
    if not isinstance(value, str):  # the header is not there
        return value
    seconds = float(value) if _DECIMAL.fullmatch(value) else 0.0
    if not 0 < seconds < inf:
        raise ValueError(
            f"{HEADER} must be seconds above 0 in decimals; received {value[:100]!r}. "
            "Write 2.5, say, or leave it out to wait as long as the service does."
        )
    return seconds


Timeout = Annotated[
    Annotated[float, Field(gt=0)] | None,
    BeforeValidator(_seconds),
    Header(
        alias=HEADER,
        description="How many seconds you wait for the answer, from when the body has arrived; at most, and unless "
        "given, GRAFT_PREDICT_TIMEOUT_SECONDS.",
        examples=[2.5],
    ),
]


async def unless_left(request: Request, work: Awaitable[T]) -> T:
    """What the work comes to; it is cancelled when the caller hangs up. The body must have been read to its end.

    Raises what the work does, and ClientDisconnect. Under uvicorn, a caller that closes only its own half of the
    connection has hung up, too.
    """

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    with anyio.CancelScope() as scope:
        watching = asyncio.create_task(watch())
        try:
            return await work
        finally:
            watching.cancel()
    raise ClientDisconnect
