"""Answers that come before the request's body has: its rest is read and thrown away, so that the caller sees them.

A connection that is closed while data still arrives is reset, and an answer that was on its way is lost with it.
"""

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.draining import Drain

# A body so small, in bytes, is on its way as a whole, and its connection is worth keeping.
SMALL = 1024 * 1024
# How long somebody may go on sending who has been answered; nginx' lingering_time.
SECONDS = 30.0
# How long nothing may come of it; nginx' lingering_timeout.
SILENCE_SECONDS = 5.0


class Lingering:
    """Holds the end of an early answer back until the body has arrived, the caller has left, or it is enough.

    That is after `seconds`, or after `silence` seconds in which nothing came, or when the server is to end. The answer
    itself goes out at once, and unless little is to come it says that its connection will be closed.
    """

    def __init__(
        self, app: ASGIApp, drain: Drain, *, seconds: float = SECONDS, silence: float = SILENCE_SECONDS
    ) -> None:
        self._app = app
        self._drain = drain
        self._seconds = seconds
        self._silence = silence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        arriving = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

        async def receive_noting_the_end() -> Message:
            nonlocal arriving
            message = await receive()
            arriving = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def send_holding_the_end_back(message: Message) -> None:
            if message["type"] == "http.response.start" and arriving and not _small(headers):
                MutableHeaders(scope=message)["Connection"] = "close"
            if message["type"] != "http.response.body" or message.get("more_body") or not arriving:
                await send(message)
                return
            await send({**message, "more_body": True})
            last = anyio.current_time() + self._seconds
            with anyio.CancelScope() as lingering, self._drain.at_end(lingering.cancel):
                while arriving:
                    lingering.deadline = min(last, anyio.current_time() + self._silence)
                    await receive_noting_the_end()
            await send({"type": "http.response.body"})

        await self._app(scope, receive_noting_the_end, send_holding_the_end_back)


def _small(headers: Headers) -> bool:
    """Whether the body is short, by its own account, and sent without being asked for."""
    length = headers.get("content-length", "")
    return length.isdigit() and int(length) <= SMALL and "expect" not in headers
