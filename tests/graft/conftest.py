"""What tests of the library share: a registry of their own, and one service for the client and the command."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine

from graft import tables
from graft.database import connect
from graft.registry import Registry

if TYPE_CHECKING:
    from tests.graft.serving import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Service"]:
    """One application for all of them, in a home of its own."""
    from tests.graft.serving import serving  # the app: only for those who ask

    with serving(tmp_path_factory.mktemp("service") / "home") as service:
        yield service


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'registry.db'}")
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def registry(root: Path, engine: Engine) -> Registry:
    return Registry(root, engine)
