"""The key check: routes under /api/v1 ask for one of the configured keys, where any is configured."""

import hmac
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

_bearer = HTTPBearer(auto_error=False, description="Authorization: Bearer KEY")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="X-API-Key: KEY")


def require_key(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> None:
    """Raises HTTPException 401 unless the request bears a configured key."""
    keys: frozenset[str] = request.app.state.api_keys
    if not keys:
        return
    given = bearer.credentials if bearer else header
    if given is None:
        raise _refusal("none arrived")
    # Every key is compared, in constant time: how long the answer takes tells nothing about any of them.
    # A header's text is its bytes read as latin-1.
    if not sum(hmac.compare_digest(given.encode("latin-1"), key.encode()) for key in keys):
        raise _refusal("the one that arrived is not among the configured ones")


def _refusal(arrived: str) -> HTTPException:
    detail = f"This route needs a key; {arrived}. Send it as Authorization: Bearer KEY, or as X-API-Key: KEY."
    return HTTPException(401, detail, headers={"WWW-Authenticate": 'Bearer realm="graft"'})
