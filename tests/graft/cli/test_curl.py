"""What --curl prints is run by a shell and does what the command would have done."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graft.cli import app
from tests.drawing import folder, jpeg, write, zip_of
from tests.graft.serving import Service, serving

KEY = "a-key-that-nobody-may-see"

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("tar")), reason="curl or tar is missing")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An application that asks for a key."""
    with serving(tmp_path_factory.mktemp("guarded") / "home", api_keys=KEY) as service:
        yield service


def printed(service: Service, *arguments: str | Path) -> str:
    words = [*(str(argument) for argument in arguments), "--curl", "--url", service.url, "--key", KEY]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert KEY not in result.output
    return result.stdout


def run(lines: str) -> str:
    environment = {**os.environ, "GRAFT_API_KEY": KEY}
    done = subprocess.run(["sh", "-ec", lines], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_a_folder_becomes_the_dataset_that_upload_makes_of_it(guarded: Service, tmp_path: Path) -> None:
    """Awkward names, hidden files, and links that upload leaves out."""
    source = write(tmp_path / "it's $HOME & more", {**folder(3), ".git/config": b"x", "discs/.hidden.jpg": b"x"})
    (source / "discs" / "in.jpg").symlink_to(source / "discs" / "1.jpg")
    (source / "discs" / "out.jpg").symlink_to("/etc/hostname")
    (source / "discs" / "gone.jpg").symlink_to("nowhere")
    line = printed(guarded, "upload", source, "--validation-split", "0.4", "--name", "a&b=c")
    assert len(line.splitlines()) == 1
    dataset = json.loads(run(line))
    assert "name" in dataset, dataset
    assert dataset["name"] == "a&b=c"
    guarded.validate()
    (by_curl,) = json.loads(run(printed(guarded, "datasets", "--limit", "1")))["data"]
    assert by_curl["state"] == "ready", by_curl
    result = CliRunner().invoke(
        app,
        ["upload", str(source), "--validation-split", "0.4", "--no-wait", "--json", "--url", guarded.url, "--key", KEY],
    )
    guarded.validate()
    by_command = json.loads(run(printed(guarded, "datasets", json.loads(result.stdout)["id"])))
    assert by_curl["revision"] == by_command["revision"]
    assert by_curl["counts"] == by_command["counts"]
    assert "in.jpg" not in result.stderr
    assert "2 links" in result.stderr


def test_an_archive_is_trained_on_by_the_printed_lines(guarded: Service, tmp_path: Path) -> None:
    archive = zip_of(folder(3), tmp_path / "shapes (1).zip")
    lines = printed(
        guarded, "train", archive, "--model", "curled", "--preset", "fine-tuning", "--set", "epochs=2", "--no-wait"
    )
    job = json.loads(run(lines))
    assert (job["kind"], job["model"], job["state"]) == ("train", "curled", "queued")
    guarded.validate()
    dataset = json.loads(run(printed(guarded, "datasets", job["dataset"])))
    assert (dataset["name"], dataset["state"]) == ("shapes (1)", "ready")
    assert json.loads(run(printed(guarded, "jobs", job["id"])))["recipe"]["epochs"] == 2
    assert json.loads(run(printed(guarded, "cancel", job["id"])))["state"] == "cancelled"
    assert "event: cancelled\n" in run(printed(guarded, "watch", job["id"]))
    again = printed(guarded, "train", dataset["id"], "--model", "curled")
    assert "tar " not in again
    assert again.splitlines()[-1].endswith('/api/v1/jobs/"$JOB"')
    assert "/events" in again.splitlines()[-2]
    assert run(printed(guarded, "delete", dataset["id"])) == ""


def test_a_plan_of_a_folder_by_the_printed_lines(guarded: Service, tmp_path: Path) -> None:
    source = write(tmp_path / "planned", folder(3))
    lines = printed(guarded, "plan", source, "--time-budget", "60", "--no-wait")
    assert len(lines.splitlines()) == 3
    job = json.loads(run(lines))
    assert (job["kind"], job["state"], job["recipe"]) == ("plan", "queued", {"preset": "auto", "time_budget": 60})
    guarded.validate()
    again = json.loads(run(printed(guarded, "plan", job["dataset"], "--no-wait")))
    assert (again["dataset"], again["recipe"]) == (job["dataset"], {"preset": "auto"})


def test_the_printed_lines_stop_at_a_refusal_and_show_it(guarded: Service) -> None:
    lines = printed(guarded, "train", "ds_none", "--model", "never")
    environment = {**os.environ, "GRAFT_API_KEY": KEY}
    done = subprocess.run(["sh", "-c", lines], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert json.loads(done.stderr)["status"] == 404


def test_pictures_are_asked_about(guarded: Service, tmp_path: Path) -> None:
    names = ["a.jpg", 'b; "c", d.jpg', "e\\f 'g'.jpg"]
    write(tmp_path, {name: jpeg("discs", 1) for name in names})
    answer = json.loads(run(printed(guarded, "predict", *(tmp_path / name for name in names), "--top", "1")))
    assert [entry["filename"] for entry in answer["predictions"]] == names
    lines = printed(guarded, "predict", *[tmp_path / "a.jpg"] * 40, "--version", "1")
    assert len(lines.splitlines()) == 2
    assert [len(json.loads(run(line))["predictions"]) for line in lines.splitlines()] == [32, 8]
    assert json.loads(run(printed(guarded, "models", "vgg16")))["name"] == "vgg16"


def test_a_deadline_is_printed_too(guarded: Service, tmp_path: Path) -> None:
    picture = write(tmp_path, {"a.jpg": jpeg("discs", 1)}) / "a.jpg"
    for command in ("predict", "embed"):
        guarded.predictor.timeouts.clear()
        line = printed(guarded, command, picture, "--timeout", "2.5")
        assert "-H 'X-Request-Timeout: 2.5'" in line
        run(line)
        assert guarded.predictor.timeouts == [2.5, 2.5]


def test_without_a_key_none_is_asked_of_the_environment(service: Service) -> None:
    result = CliRunner().invoke(app, ["jobs", "--curl", "--url", service.url])
    assert result.stdout == f"curl -sS {shlex.quote(service.url + '/api/v1/jobs?limit=20')}\n"
