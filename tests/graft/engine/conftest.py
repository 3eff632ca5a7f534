"""A registry for the tests of what is in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from graft import tables
from graft.database import connect
from graft.registry import Registry
from tests.graft.engine.preparing import Prepare, Watched


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def engine(root: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{root.with_name('registry.db')}")
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def registry(root: Path, engine: Engine) -> Registry:
    return Registry(root, engine)


@pytest.fixture
def prepare() -> Prepare:
    return Prepare()


@pytest.fixture
def metrics() -> Watched:
    return Watched()
