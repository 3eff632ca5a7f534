"""Models in memory, for the tests of them: the registry is that of all tests of the library."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from graft.engine.models import Models
from graft.registry import Registry
from tests.graft.engine.meddling import Clock, Meddled, models_of
from tests.graft.engine.preparing import Prepare, Watched


@pytest.fixture
def prepare() -> Prepare:
    return Prepare()


@pytest.fixture
def metrics() -> Watched:
    return Watched()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def models(registry: Registry, prepare: Prepare, metrics: Watched, clock: Clock) -> Models:
    """With all the patience that a test has."""
    return models_of(registry, prepare, metrics, clock=clock)


@pytest.fixture
def hasty(registry: Registry, prepare: Prepare, metrics: Watched) -> Models:
    """Callers wait for nothing that another version can answer."""
    return models_of(registry, prepare, metrics, patience=0)


@pytest.fixture
def meddled(root: Path, engine: Engine) -> Meddled:
    return Meddled(root, engine)
