"""What an answer says of work that it has taken on."""

from fastapi import Response

from graft.datasets.store import RETRY_SECONDS


def announce(response: Response, path: str) -> None:
    """Where it can be followed, under /api/v1, and when it is worth a look: it takes seconds to minutes."""
    response.headers.update({"Location": f"/api/v1/{path}", "Retry-After": str(RETRY_SECONDS)})
