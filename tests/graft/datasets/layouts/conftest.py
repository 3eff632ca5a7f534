from collections.abc import Iterator

import pytest

from graft.database import connect, migrate
from graft.datasets import ArchiveLimits, Datasets


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasets]:
    home = tmp_path_factory.mktemp("imports")
    engine = connect(f"sqlite:///{home / 'graft.db'}")
    migrate(engine)
    yield Datasets(engine, home, ArchiveLimits(bytes=10**7))
    engine.dispose()
