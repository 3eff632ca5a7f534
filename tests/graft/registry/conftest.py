from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from graft import tables
from graft.database import connect
from graft.registry import Registry


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'registry.db'}")
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def either_engine(database_url: str) -> Iterator[Engine]:
    """SQLite, and PostgreSQL where it answers."""
    engine = connect(database_url)
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def registry(root: Path, engine: Engine) -> Registry:
    return Registry(root, engine)
