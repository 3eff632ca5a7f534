from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from graft.database import connect, migrate
from graft.jobs import Jobs


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def jobs(engine: Engine) -> Jobs:
    return Jobs(engine)


@pytest.fixture
def hasty(engine: Engine) -> Jobs:
    """The same table, but a lease that this one gives has already run out."""
    return Jobs(engine, lease_seconds=-1)
