"""Idempotency keys: which request came with which key.

What a request with a key creates has an id derived from the key (`graft.database.derived_id`), so that the primary key
of its own table keeps it from being created twice, whatever else fails. Here is kept only what the request was, to
refuse the key to another one.
"""

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from graft.database import now_ms, reading
from graft.errors import InvalidFields
from graft.tables import idempotency_keys as table


class IdempotencyKeys:
    """May be used from many threads and processes at once. Keys are kept for good, as the ids derived from them are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, digest: str, fingerprint: str) -> None:
        """Bind the key to the request, or see that it was this one that it is bound to. Raises InvalidFields.

        digest: sha256 of the caller and the key, in hex; fingerprint: sha256 of the request.
        """
        bound_to = self._fingerprint(digest) or self._bind(digest, fingerprint)
        if bound_to != fingerprint:
            raise InvalidFields(
                "An Idempotency-Key belongs to one request; this one came with another before. "
                "Send that request again, or choose another key."
            )

    def _bind(self, digest: str, fingerprint: str) -> str | None:
        """The fingerprint that the key is bound to now: this one, or the one of a request that was faster."""
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(table).values(id=digest, fingerprint=fingerprint, created_at=now_ms))
        except IntegrityError:
            return self._fingerprint(digest)
        return fingerprint

    def _fingerprint(self, digest: str) -> str | None:
        with reading(self._engine) as connection:
            found: str | None = connection.scalar(select(table.c.fingerprint).where(table.c.id == digest))
            return found
