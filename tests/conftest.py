"""Fixtures that several rooms' tests share."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from hypothesis import settings as hypothesis_settings

from graft.errors import MissingWeights
from graft.settings import Settings
from graft.stores import open_weights
from graft.vgg16.sources import TRUNK_FILE
from graft.vgg16.weight_files import write_keras

# The same examples in every run: a failure that comes and goes tells nobody which change brought it.
hypothesis_settings.register_profile("graft", derandomize=True, deadline=None)
hypothesis_settings.load_profile("graft")

OWN = Settings()  # the developer's, read before the tests lose them
POSTGRES = os.environ.get("GRAFT_TEST_DATABASE_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("GRAFT_TEST_REDIS_URL", "redis://127.0.0.1:6379")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own GRAFT_* settings must not change what the tests see."""
    for name in [n for n in os.environ if n.startswith("GRAFT_") and not n.startswith("GRAFT_TEST_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder with real weights and pictures, named by GRAFT_TEST_ASSETS."""
    folder = os.environ.get("GRAFT_TEST_ASSETS")
    if not folder:
        pytest.skip("GRAFT_TEST_ASSETS is not set: it names the folder with real weights and pictures")
    return Path(folder)


@pytest.fixture(scope="session")
def trunk_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras file with the official trunk, in a folder of its own.

    From the assets; else from wherever `make up` has it or gets it, by the developer's own settings.
    """
    folder = tmp_path_factory.mktemp("trunk")
    if assets := os.environ.get("GRAFT_TEST_ASSETS"):
        return Path(shutil.copy(Path(assets) / "weights" / TRUNK_FILE, folder))
    try:
        trunk = open_weights(OWN).trunk()
    except MissingWeights as error:
        pytest.skip(f"no trunk: GRAFT_TEST_ASSETS is not set, and {error}")
    write_keras(trunk, folder / TRUNK_FILE)
    return folder / TRUNK_FILE


@pytest.fixture(scope="session")
def real_pictures(assets: Path) -> list[Path]:
    """Twenty-five of the sign-language test pictures, of every class."""
    return sorted(assets.glob("sign-language-digits/test/*/*"))[::2]


@pytest.fixture(scope="session")
def official_weights(
    trunk_file: Path, real_pictures: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder with a full-size file (553 MB) in the official layout, of random dense layers."""
    from tests.networks import build_official  # TensorFlow: only for those who ask

    folder = tmp_path_factory.mktemp("official")
    build_official(folder, trunk_file, real_pictures)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: SQLite always, and one of its own on PostgreSQL where that answers."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'graft.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """An empty database on PostgreSQL, dropped afterwards."""
    server = POSTGRES.replace("postgresql+psycopg://", "postgresql://")
    try:
        admin = psycopg.connect(server, autocommit=True, connect_timeout=2)
    except psycopg.OperationalError:
        pytest.skip(f"no PostgreSQL answers at {POSTGRES}")
    name = f"graft_test_{uuid.uuid4().hex[:12]}"
    with admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield POSTGRES.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def redis_url() -> Iterator[str]:
    """An empty database on Redis, which no other test of any run uses meanwhile; it is empty again afterwards."""
    for number in range(15, 0, -1):
        url = f"{REDIS.rstrip('/')}/{number}"
        with redis.Redis.from_url(url, socket_connect_timeout=2) as client:
            try:
                taken = client.dbsize() == 0 and client.set("taken_by_a_test_of_graft", 1, nx=True, ex=1800)
            except redis.ConnectionError:
                pytest.skip(f"no Redis answers at {REDIS}")
            if taken:
                yield url
                client.flushdb()
                return
    pytest.skip(f"the tests need an empty Redis database; none of 1 to 15 at {REDIS} is")
