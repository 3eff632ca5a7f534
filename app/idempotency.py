"""`Idempotency-Key`: a request that creates something can be sent again, and creates it once.

    def create(…, once: UseOnce) -> …:
        job = once.make("job", services.jobs.get, lambda id: …create(…, id=id))

An upload first asks `once.find`, so as not to read a body for what is there already.
"""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Header, Request, Response

from app import auth, json_route
from app.bodies import JSON, media_type
from app.deps import UseServices
from graft.database import derived_id
from graft.errors import InvalidFields, NotFound
from graft.idempotency import IdempotencyKeys

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
_RULE: Final = re.compile(r"[!-~]{1,255}")
T = TypeVar("T")


class Once:
    """One request that creates something. Without a key every request creates anew. All of it blocks on SQL."""

    def __init__(self, keys: IdempotencyKeys, response: Response, digest: str | None, fingerprint: str) -> None:
        self._keys = keys
        self._response = response
        self._digest = digest
        self._fingerprint = fingerprint

    def id(self, prefix: str) -> str | None:
        """The id that what is created must get; None: any."""
        return None if self._digest is None else derived_id(prefix, self._digest)

    def find(self, prefix: str, get: Callable[[str], T]) -> T | None:
        """What the same request has created before, as it is now; the answer then says that it was replayed.

        get: raises NotFound. Raises InvalidFields for a key that came with another request.
        """
        if self._digest is None:
            return None
        self._keys.claim(self._digest, self._fingerprint)
        try:
            found = get(derived_id(prefix, self._digest))
        except NotFound:
            return None
        self._response.headers[REPLAYED] = "true"
        return found

    def make(self, prefix: str, get: Callable[[str], T], create: Callable[[str | None], T]) -> T:
        """What `find` finds, or else what `create` makes.

        create: with the id of what the same request has made a moment ago, it gives that.
        """
        return self.find(prefix, get) or create(self.id(prefix))


async def _once(
    request: Request,
    response: Response,
    services: UseServices,
    key: Annotated[
        str | None,
        Header(
            alias=HEADER,
            description="1 to 255 visible ASCII characters of your choice. The same request with the same key creates "
            f"nothing more: it answers with what is there, and `{REPLAYED}: true`.",
            examples=["6f9619ff-8b86-d011-b42d-00cf4fc964ff"],
        ),
    ] = None,
) -> Once:
    if key is None:
        return Once(services.idempotency, response, None, "")
    if not _RULE.fullmatch(key):
        raise InvalidFields(f"{HEADER} must have 1 to 255 visible ASCII characters; received {key!r:.100}.")
    # A header holds no NUL, so the two cannot run into each other.
    digest = _sha256(f"{auth.caller(request)}\0{key}".encode())
    return Once(services.idempotency, response, digest, await fingerprint(request))


UseOnce = Annotated[Once, Depends(_once)]


async def fingerprint(request: Request) -> str:
    """JSON is told by its content. An upload is told by its type and length, as it is not read yet."""
    said = [request.method, request.url.path, sorted(request.query_params.multi_items()), await _content(request)]
    return _sha256(json.dumps(said).encode())


async def _content(request: Request) -> str:
    declared = media_type(request)  # without the boundary, which differs from try to try
    length = request.headers.get("Content-Length", "")
    small_json = declared == JSON and length.isdecimal() and int(length) <= json_route.LIMIT
    if small_json or isinstance(request, json_route.StrictRequest):
        return _sha256(await request.body())
    return f"{declared} {length}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
