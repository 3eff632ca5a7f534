from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.conftest import REDIS
from tests.worker.workshop import Workshop


@pytest.fixture
def workshop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """The embedded default, SQLite and files; and PostgreSQL with Redis, where both answer."""
    broker_url = None
    if database_url.startswith("postgresql"):
        broker_url = f"{REDIS.rstrip('/')}/11"
        try:
            with redis.Redis.from_url(broker_url, socket_connect_timeout=2) as client:
                client.ping()
        except redis.ConnectionError:
            pytest.skip(f"no Redis answers at {REDIS}")
    workshop = Workshop(tmp_path / "home", database_url, broker_url)
    workshop.delete_messages()
    try:
        yield workshop
    finally:
        workshop.close()
