"""One call after another over a wire: keys against doing it twice, tries again, and answers turned into errors."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from pydantic import ValidationError

from graft.client.errors import ApiError, Unreachable
from graft.client.request import Call
from graft.client.wires import Stream, Wire

logger = logging.getLogger(__name__)

T = TypeVar("T")
# Statuses that say: not now. 502 and 504 are a proxy's, in front of a service that is being started again.
NOT_NOW = (429, 502, 503, 504)
# Seconds before another try, where the service does not say how many; the last one again and again.
PAUSES = (0.1, 0.3, 0.6, 1.0, 2.0)
TRIES_IN_SILENCE = 3  # a second's; who waits longer is told


class Session:
    """patience: the most seconds that one call may spend waiting for another try, unless the call has its own."""

    def __init__(self, wire: Wire, *, patience: float) -> None:
        self.wire = wire
        self._patience = patience

    async def ask(self, call: Call[T], *, patience: float | None = None) -> T:
        """Raises ApiError for an answer that is no success, Unreachable where none came."""
        # One key for all tries of one call: the service does it once.
        headers = {"Idempotency-Key": str(uuid4())} if call.creates else {}
        waited, tries, most = 0.0, 0, self._patience if patience is None else patience
        while True:
            try:
                answer = await self.wire.send(call, headers)
                if answer.is_success:
                    return _parse(call, answer)
                failure: ApiError | Unreachable = ApiError.of(answer)
            except httpx.TransportError as error:
                failure = unreachable(error)
            pause = next_pause(failure, tries)
            if pause is None or waited + pause > most:
                raise failure
            if isinstance(failure, Unreachable) and tries == TRIES_IN_SILENCE:
                logger.warning("%s Trying again for up to %.0f seconds.", failure, most - waited)
            await self.wire.pause(pause)
            waited, tries = waited + pause, tries + 1

    @asynccontextmanager
    async def listen(self, call: Call[Any], headers: dict[str, str]) -> AsyncIterator[Stream]:
        """A successful answer, as it comes; tried once. Raises ApiError, httpx.TransportError."""
        async with self.wire.stream(call, headers) as stream:
            if not stream.head.is_success:
                content = b"".join([piece async for piece in stream.pieces])
                head = stream.head
                raise ApiError.of(
                    httpx.Response(head.status_code, headers=head.headers, content=content, request=head.request)
                )
            yield stream


def next_pause(failure: ApiError | Unreachable, tries: int) -> float | None:
    """Seconds until another try is worth it; None where it never is."""
    if isinstance(failure, ApiError):
        if failure.status not in NOT_NOW:
            return None
        if failure.retry_after is not None:
            return failure.retry_after
    return PAUSES[min(tries, len(PAUSES) - 1)]


def unreachable(error: httpx.TransportError) -> Unreachable:
    url = error.request.url.copy_with(path="/", query=None)
    reason = str(error) or type(error).__name__
    return Unreachable(f"Graft must answer at {url}; it does not: {reason}.")


def _parse(call: Call[T], answer: httpx.Response) -> T:
    try:
        return call.parse(answer)
    except (ValidationError, ValueError):
        raise Unreachable(
            f"{answer.url} must answer as Graft does; received something else. Is the address right?"
        ) from None
