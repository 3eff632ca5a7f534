"""What the client's and the command's tests share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.graft.serving import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Service"]:
    """One application for all of them, in a home of its own."""
    from tests.graft.serving import serving  # the app: only for those who ask

    with serving(tmp_path_factory.mktemp("service") / "home") as service:
        yield service
