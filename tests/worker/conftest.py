from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.workshop import Workshop


@pytest.fixture
def workshop(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """The embedded default, SQLite and files; and PostgreSQL with Redis, where both answer."""
    at_scale = database_url.startswith("postgresql")
    broker_url: str | None = request.getfixturevalue("redis_url") if at_scale else None
    workshop = Workshop(tmp_path / "home", database_url, broker_url)
    try:
        yield workshop
    finally:
        workshop.close()
