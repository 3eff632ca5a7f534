"""The README's lines, as printed, against what `make up` starts; only the port is another one."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service, outside, running

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def service(trunk_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("home"), GRAFT_WEIGHTS_DIR=str(trunk_file.parent)) as service:
        yield service


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like the checkout to the README's lines, which write into it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "tests").symlink_to(ROOT / "tests")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def section(title: str) -> str:
    """The commands below a title, as far as the next one."""
    text = re.split(rf"^#+ {title}$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)[1]
    return "\n".join(FENCE.findall(re.split(r"^#+ ", text, flags=re.MULTILINE)[0]))


def follow(service: Service, checkout: Path, title: str) -> str:
    """Draw the pictures, then do what the section says. Returns what was printed."""
    script = (section("From a folder to a prediction") + section(title)).replace(ADDRESS, service.url)
    environment = outside() | {"GRAFT_URL": service.url}  # the command's own default is the README's address
    done = subprocess.run(
        ["sh", "-e"],
        input=script,
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + service.log
    assert "Traceback" not in service.log
    return done.stdout


def test_with_the_command_graft(service: Service, checkout: Path) -> None:
    printed = follow(service, checkout, "With the command graft")
    assert re.search(r"new-discs\.jpg\W+discs\b", printed), printed
    assert re.search(r"new-stripes\.jpg\W+stripes\b", printed), printed


def test_with_curl_alone(service: Service, checkout: Path) -> None:
    assert "graft " not in section("With curl alone")
    printed = follow(service, checkout, "With curl alone")
    assert "event: succeeded" in printed
    assert re.search(r'"filename":"new-discs.jpg","top":\[\{"label":"discs"', printed), printed
    assert re.search(r'"filename":"new-stripes.jpg","top":\[\{"label":"stripes"', printed), printed
    assert '"confusion_matrix":' in printed
    assert "<title>shapes version " in (checkout / "report.html").read_text()
