from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from graft import tables
from graft.database import connect


@pytest.fixture
def either_engine(database_url: str) -> Iterator[Engine]:
    """SQLite, and PostgreSQL where it answers."""
    engine = connect(database_url)
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()
