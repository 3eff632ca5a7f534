"""The README's lines, as printed, against what `make up` starts; only the port is another one."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service, running

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def service(trunk_file: Path, tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path / "home", GRAFT_WEIGHTS_DIR=str(trunk_file.parent)) as service:
        yield service


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like the checkout to the README's lines, which write into it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "tests").symlink_to(ROOT / "tests")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def test_the_walk_through_ends_in_a_correct_prediction(service: Service, checkout: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [block for block in blocks if not block.startswith("make ")]
    script = "\n".join(lines)
    assert script.count(ADDRESS) == 1, "the walk-through names the address once, at its top"
    script = script.replace(ADDRESS, service.url)
    done = subprocess.run(
        ["sh", "-e"], input=script, cwd=checkout, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"state":"succeeded"' in done.stdout, done.stdout + service.log
    assert re.search(r'"filename":"new-discs.jpg","top":\[\{"label":"discs"', done.stdout)
    assert re.search(r'"filename":"new-stripes.jpg","top":\[\{"label":"stripes"', done.stdout)
    assert (checkout / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")
    assert "Traceback" not in service.log
