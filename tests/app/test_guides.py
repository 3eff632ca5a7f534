"""The guides' lines, as printed, against the real application; only the address is another one."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.drawing import folder, jpeg, write
from tests.graft.serving import Service, serving

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("curl", "tar", "sh", "base64"))), reason="no curl or tar here"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("home")) as service:
        service.publish("shapes")
        yield service


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What the README draws, and an archive of it."""
    write(tmp_path / "pictures", folder(5))
    write(tmp_path, {f"new-{label}.jpg": jpeg(label, 1000) for label in ("discs", "stripes")})
    shutil.make_archive(str(tmp_path / "pictures"), "zip", tmp_path, "pictures")
    return tmp_path


def follow(text: str, service: Service, place: Path) -> list[str]:
    """Type the text's lines into a shell. Returns what each call answered."""
    script = "\n".join(FENCE.findall(text)).replace("http://127.0.0.1:8000", service.url)
    script = script.replace("curl ", "curl --fail-with-body -w '\\n' ")
    done = subprocess.run(["sh", "-e"], input=script, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line]


def test_the_api_by_curl(service: Service, place: Path) -> None:
    answers = follow((DOCS / "api.md").read_text(), service, place)
    assert len(answers) == 19
    assert all(answer.startswith("{") for answer in answers)
    assert np.load(place / "features.npy").dtype == np.float32


def test_recipes(service: Service, place: Path) -> None:
    answers = follow((DOCS / "recipes.md").read_text(), service, place)
    assert ['"kind":"train"' in answer for answer in answers] == [True] * 5 + [False] * 2
    assert ['"kind":"plan"' in answer for answer in answers] == [False] * 5 + [True] * 2


def test_every_way_to_send_a_dataset(service: Service, place: Path) -> None:
    text = (DOCS / "datasets.md").read_text().partition("## What is recognised")[0]
    answers = follow(text, service, place)
    assert len(answers) == 7
    assert [answer.count('"files":15') for answer in answers] == [1, 1, 1, 1, 0, 0, 0]
    assert '"state":"validating"' in answers[-1]
