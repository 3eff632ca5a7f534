"""The commands that are the service itself, where they cannot start; and the weights."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from graft.cli import app
from graft.cli.composition import usable_settings
from graft.vgg16.sources import FULL, TRUNK_FILE

OFF_LOOPBACK = "GRAFT_HOST other than loopback needs API keys; received 0.0.0.0 and no keys."
NOT_BUILT = "GRAFT_PRECISION must be one of auto, float32, bfloat16; received int8, which is not built yet."
NO_NUMBER = "GRAFT_PORT is wrong: Input should be a valid integer"


def environment(folder: Path, **settings: str) -> dict[str, str]:
    named = {f"GRAFT_{name.upper()}": value for name, value in settings.items()}
    return {"GRAFT_HOME": str(folder), "GRAFT_WEIGHTS_URL": "http://127.0.0.1:1/", **named}


def graft(*arguments: str, env: Mapping[str, str]) -> Result:
    return CliRunner().invoke(app, arguments, env=env)


Refusal = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """What the settings of a command are refused with: one line on stderr, and an end that is no success."""

    def refuse(**settings: str) -> str:
        for name, value in environment(tmp_path, **settings).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(typer.Exit) as end:
            usable_settings()
        assert end.value.exit_code == 1
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        return line

    return refuse


def test_no_command_goes_on_without_a_database(tmp_path: Path) -> None:
    """In a process of its own, which one that went on would replace or keep."""
    commands = [["up"], ["api"], ["worker", "training"]]
    script = f"""
from graft.cli import app
for words in {commands}:
    try:
        app(words)
    except SystemExit as end:
        print(end.code)
"""
    env = {**os.environ, **environment(tmp_path, database_url="postgresql://127.0.0.1:1/jobs")}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1", "1", "1"]
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("GRAFT_DATABASE_URL must lead to a database") for line in lines)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"precision": "int8"}, NOT_BUILT), ({"port": "high"}, NO_NUMBER), ({"host": "0.0.0.0"}, OFF_LOOPBACK)],
)
def test_a_wrong_setting_is_one_sentence(refusal: Refusal, settings: dict[str, str], sentence: str) -> None:
    assert refusal(**settings).startswith(sentence)


def test_a_home_folder_that_cannot_be_made_is_one_sentence(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(home=str(tmp_path / "file" / "home")) == (
        f"GRAFT_HOME must be a folder that can be made and written to; received {tmp_path / 'file' / 'home'}: "
        "Not a directory."
    )


def test_a_database_that_is_away_is_one_sentence(refusal: Refusal) -> None:
    line = refusal(database_url="postgresql://graft:secret@127.0.0.1:1/jobs")
    assert line.startswith(
        "GRAFT_DATABASE_URL must lead to a database that can be used; postgresql+psycopg://graft:***@"
    )
    assert "refused" in line


def test_a_file_that_is_no_database_is_one_sentence(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "graft.db").write_text("no database" * 100)
    assert refusal() == (
        f"GRAFT_HOME must lead to a database that can be used; sqlite:///{tmp_path}/graft.db cannot: "
        "file is not a database"
    )


def test_weights_fetch_succeeds_without_the_classifier_and_says_what_is_missing(
    tmp_path: Path, trunk_file: Path
) -> None:
    done = graft("weights", "fetch", env=environment(tmp_path, weights_dir=str(trunk_file.parent)))
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[-2] == f"trunk: in GRAFT_WEIGHTS_DIR: {trunk_file}, verified."
    assert lines[-1].startswith("classifier: 127.0.0.1:1 did not answer")
    assert FULL.name in lines[-1]
    assert "\r" not in done.stdout  # no bar where nobody looks at a terminal


def test_weights_fetch_ends_with_a_sentence_where_a_setting_is_wrong(tmp_path: Path) -> None:
    done = graft("weights", "fetch", env=environment(tmp_path, port="high"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(NO_NUMBER)


def test_weights_fetch_fails_without_a_trunk_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / TRUNK_FILE).write_text("not HDF5")
    done = graft("weights", "fetch", env=environment(tmp_path, weights_dir=str(tmp_path / "mine")))
    assert done.exit_code == 1
    assert f"received {tmp_path / 'mine' / TRUNK_FILE}" in done.stdout
    assert "Replace or remove it." in done.stdout
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("arguments", [("worker", "painting"), ("sing",)])
def test_a_wrong_command_line_gets_the_usage_and_no_traceback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = graft(*arguments, env=environment(tmp_path))
    assert done.exit_code == 2
    assert "Usage: " in done.output
