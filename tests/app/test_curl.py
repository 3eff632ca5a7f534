"""The lines that the README prints for curl, typed into a shell."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_server import MIB, Server, run
from tests.drawing import folder

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("curl", "zip", "tar", "sh"))), reason="curl, zip and tar are not all here"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from run(tmp_path_factory.mktemp("curl") / "home", GRAFT_ARCHIVE_BYTES=str(8 * MIB))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds `pictures/CLASS/N.jpg`, eighteen of them, and archives of them."""
    place = tmp_path_factory.mktemp("pictures")
    for name, data in folder(6).items():
        path = place / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    subprocess.run(["zip", "-qr", "pictures.zip", "pictures"], cwd=place, check=True)
    subprocess.run(["tar", "-czf", "pictures.tar.gz", "pictures"], cwd=place, check=True)
    return place


def shell(line: str, server: Server, place: Path) -> str:
    """What the line prints."""
    environment = {**os.environ, "API": f"{server.url}/api/v1"}
    done = subprocess.run(["sh", "-c", line], cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


UPLOADS = {
    "zip": 'curl -s -T pictures.zip "$API/datasets?name=shapes"',
    "tar.gz": 'curl -s -T pictures.tar.gz "$API/datasets?name=shapes"',
    "data-binary": 'curl -s --data-binary @pictures.tar.gz "$API/datasets?name=shapes"',
    "a pipe": 'tar -c -C pictures . | curl -s -T - "$API/datasets?name=shapes"',
    "a packed pipe": 'tar -cz pictures | curl -s -T - "$API/datasets?name=shapes"',
    "a zip through a pipe": 'zip -qr - pictures | curl -s -T - "$API/datasets?name=shapes"',
    "a form": 'curl -s -F archive=@pictures.zip -F name=shapes "$API/datasets"',
    "a part for every picture": (
        "find pictures -name '*.jpg' | sed 's/.*/form = \"file=@&;filename=&\"/' "
        '| curl -s -K - -F name=shapes "$API/datasets"'
    ),
}


@pytest.mark.parametrize("line", UPLOADS.values(), ids=UPLOADS)
def test_a_folder_goes_in(server: Server, pictures: Path, line: str) -> None:
    dataset = json.loads(shell(line, server, pictures))
    assert (dataset["name"], dataset["state"], dataset["files"]) == ("shapes", "validating", 18)


def test_a_dataset_is_filled_call_by_call(server: Server, pictures: Path) -> None:
    lines = """
    JSON='Content-Type: application/json'
    DATASET=$(curl -s $API/datasets -H "$JSON" -d '{"name": "shapes"}' | grep -o 'ds_[a-z0-9]*')
    tar -c -C pictures discs stripes | curl -s -T - $API/datasets/$DATASET/files >/dev/null
    curl -s -F 'file=@pictures/triangles/1.jpg;filename=triangles/1.jpg' $API/datasets/$DATASET/files >/dev/null
    curl -s -X POST $API/datasets/$DATASET/commit
    """
    dataset = json.loads(shell(lines, server, pictures))
    assert (dataset["state"], dataset["files"]) == ("validating", 13)


def test_a_folder_becomes_a_training(server: Server, pictures: Path) -> None:
    line = 'tar -c -C pictures . | curl -s -T - "$API/models/shapes/fine-tune?preset=fine-tuning&epochs=5"'
    job = json.loads(shell(line, server, pictures))
    assert (job["kind"], job["state"], job["recipe"]["epochs"]) == ("train", "queued", 5)


def answered(server: Server, place: Path, line: str) -> tuple[int, int, dict[str, Any]]:
    """Status, bytes sent, answer."""
    body, _, said = shell(f"{line} -w '\\n%{{http_code}} %{{size_upload}}'", server, place).rpartition("\n")
    status, sent = said.split()
    return int(status), int(sent), json.loads(body)


def test_a_body_that_is_announced_too_large_is_never_sent(server: Server, pictures: Path, tmp_path: Path) -> None:
    with (tmp_path / "large.zip").open("wb") as file:
        file.truncate(9 * MIB)
    for waits in ("", "--expect100-timeout 60 -H 'Expect: 100-continue'"):
        status, sent, problem = answered(server, tmp_path, f'curl -s {waits} -T large.zip "$API/datasets"')
        assert (status, problem["type"]) == (413, "urn:graft:error:too-large")
        assert not waits or sent == 0
    line = f'curl -s --expect100-timeout 60 -H "Expect: 100-continue" -T {pictures}/pictures.zip "$API/datasets"'
    assert answered(server, tmp_path, line)[0] == 202


def test_a_dataset_as_json_without_its_type(server: Server, tmp_path: Path) -> None:
    status, _, problem = answered(server, tmp_path, """curl -s "$API/datasets" -d '{"name": "shapes"}'""")
    assert status == 415
    assert "Content-Type: application/json" in problem["detail"]
