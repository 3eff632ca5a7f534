"""The key check: routes under /api/v1, and the metrics, ask for one of the configured keys, where any is configured."""

import hmac

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.exceptions import HTTPException

HEADER = "X-API-Key"
ANONYMOUS = "anonymous"
# For the OpenAPI document; they refuse nobody.
SCHEMES = (
    Security(HTTPBearer(auto_error=False, description="Authorization: Bearer KEY")),
    Security(APIKeyHeader(name=HEADER, auto_error=False, description=f"{HEADER}: KEY")),
)


async def require_key(request: Request) -> None:
    """Raises HTTPException 401 unless the request bears a configured key. Reads its headers alone.

    Async, as the framework would look for a thread for anything else, and there may be none left.
    """
    keys: frozenset[str] = request.app.state.api_keys
    if not keys:
        return
    given = _given(request)
    if not given:
        raise _refusal("none arrived")
    # Every key is compared, in constant time: how long the answer takes tells nothing about any of them.
    # A header's text is its bytes read as latin-1.
    if not sum(hmac.compare_digest(given.encode("latin-1"), key.encode()) for key in keys):
        raise _refusal("the one that arrived is not among the configured ones")


def caller(request: Request) -> str:
    """Who asks, after require_key: the key, or `anonymous` where none is configured."""
    return _given(request) or ANONYMOUS if request.app.state.api_keys else ANONYMOUS


def _given(request: Request) -> str | None:
    return _bearer(request) or request.headers.get(HEADER)


def _bearer(request: Request) -> str | None:
    scheme, credentials = get_authorization_scheme_param(request.headers.get("Authorization"))
    return credentials if scheme.lower() == "bearer" else None


def _refusal(arrived: str) -> HTTPException:
    detail = f"This route needs a key; {arrived}. Send it as Authorization: Bearer KEY, or as {HEADER}: KEY."
    return HTTPException(401, detail, headers={"WWW-Authenticate": 'Bearer realm="graft"'})
