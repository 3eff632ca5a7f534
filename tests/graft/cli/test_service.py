"""The command `graft`, as a user's shell starts it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from graft.vgg16.sources import FULL, TRUNK_FILE

GRAFT = [sys.executable, "-m", "graft.cli"]


def environment(home: Path, **settings: str) -> dict[str, str]:
    named = {f"GRAFT_{name.upper()}": value for name, value in settings.items()}
    return {**os.environ, "GRAFT_HOME": str(home), "GRAFT_WEIGHTS_URL": "http://127.0.0.1:1/", **named}


def graft(*arguments: str, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*GRAFT, *arguments], env=env, capture_output=True, text=True, check=False)


OFF_LOOPBACK = "GRAFT_HOST other than loopback needs API keys; received 0.0.0.0 and no keys."
NOT_BUILT = "GRAFT_PRECISION must be float32 for now; received int8, which is not built yet."
NO_NUMBER = "GRAFT_PORT is wrong: Input should be a valid integer"


@pytest.mark.parametrize(
    ("command", "settings", "sentence"),
    [
        (("up",), {"host": "0.0.0.0"}, OFF_LOOPBACK),
        (("api",), {"host": "0.0.0.0"}, OFF_LOOPBACK),
        (("worker", "training"), {"precision": "int8"}, NOT_BUILT),
        (("weights", "fetch"), {"port": "high"}, NO_NUMBER),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    tmp_path: Path, command: tuple[str, ...], settings: dict[str, str], sentence: str
) -> None:
    done = graft(*command, env=environment(tmp_path, **settings))
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


COMMANDS = [("up",), ("api",), ("worker", "datasets")]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_home_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    done = graft(*command, env=environment(tmp_path / "file" / "home"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"GRAFT_HOME must be a folder that can be made and written to; received {tmp_path / 'file' / 'home'}: "
        "Not a directory.\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_is_away_is_one_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = graft(*command, env=environment(tmp_path, database_url="postgresql://graft:secret@127.0.0.1:1/jobs"))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "GRAFT_DATABASE_URL must lead to a database that can be used; postgresql+psycopg://graft:***@"
    )
    assert "refused" in line


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "graft.db").write_text("no database" * 100)
    done = graft("up", env=environment(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"GRAFT_HOME must lead to a database that can be used; sqlite:///{tmp_path}/graft.db cannot: "
        "file is not a database\n"
    )


def test_weights_fetch_succeeds_without_the_classifier_and_says_what_is_missing(
    tmp_path: Path, trunk_file: Path
) -> None:
    done = graft("weights", "fetch", env=environment(tmp_path, weights_dir=str(trunk_file.parent)))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[-2] == f"trunk: in GRAFT_WEIGHTS_DIR: {trunk_file}, verified."
    assert lines[-1].startswith("classifier: 127.0.0.1:1 did not answer")
    assert FULL.name in lines[-1]
    assert "\r" not in done.stdout  # no bar where nobody looks at a terminal


def test_weights_fetch_fails_without_a_trunk_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / TRUNK_FILE).write_text("not HDF5")
    done = graft("weights", "fetch", env=environment(tmp_path, weights_dir=str(tmp_path / "mine")))
    assert done.returncode == 1
    assert f"received {tmp_path / 'mine' / TRUNK_FILE}" in done.stdout
    assert "Replace or remove it." in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("worker", "painting"), ("sing",)])
def test_a_wrong_command_line_gets_the_usage_and_no_traceback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = graft(*arguments, env=environment(tmp_path))
    assert done.returncode == 2
    assert "Usage: " in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
