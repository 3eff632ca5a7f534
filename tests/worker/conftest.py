from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.conftest import REDIS
from tests.worker.workshop import Workshop

TAKEN = "graft_tests"  # this key says that a run of the tests uses the database
RUN_SECONDS = 1800


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of an empty Redis database that no other run of these tests uses meanwhile."""
    for number in range(15, 0, -1):
        url = f"{REDIS.rstrip('/')}/{number}"
        with redis.Redis.from_url(url, socket_connect_timeout=2) as client:
            try:
                free = client.dbsize() == 0 and client.set(TAKEN, 1, nx=True, ex=RUN_SECONDS)
            except redis.ConnectionError:
                pytest.skip(f"no Redis answers at {REDIS}")
            if free:
                yield url
                client.flushdb()
                return
    pytest.skip(f"every Redis database at {REDIS} holds something; the tests need an empty one")


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
