"""Around every request: an id that its answer and a failure's log line carry, and where the unforeseen ends."""

import logging
import re
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors

HEADER = "X-Request-Id"
# What a caller may choose; anything else could forge lines of the log.
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")
log = logging.getLogger("graft.app")


class RequestId:
    """Takes the caller's X-Request-Id, or draws one, and puts it on the answer.

    An exception that no handler knows is logged with its traceback under the id, and answered with a problem that
    names the id. (Starlette's own last resort sits outside this middleware: its answer would lack the id.)
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get(HEADER, "")
        this = asked if _ACCEPTED.fullmatch(asked) else uuid4().hex
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)[HEADER] = this
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request %s: %s %s failed", this, scope["method"], scope["path"])
            if started:
                raise
            await errors.internal(this)(scope, receive, send_with_id)
