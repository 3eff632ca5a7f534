"""docs/cli.md and docs/python-client.md say what is there, and their Python runs."""

import inspect
import re
from pathlib import Path

import pytest
import typer

from graft.cli import app, ending
from graft.client import AsyncClient, Client
from tests.drawing import folder, jpeg, write
from tests.graft.serving import Service

DOCS = Path(__file__).parents[3] / "docs"
CLI = (DOCS / "cli.md").read_text()
PYTHON = (DOCS / "python-client.md").read_text()


def test_every_command_is_in_the_docs() -> None:
    group = typer.main.get_group(app)
    commands = set(group.commands)
    assert commands - {"up", "api", "worker", "weights"} == set(re.findall(r"^\| `graft (\w+)", CLI, re.MULTILINE))
    options = {option for command in group.commands.values() for each in command.params for option in each.opts}
    assert set(re.findall(r"--[a-z][a-z-]*", CLI)) <= options | {"--help", "--no-wait"}


def test_every_exit_code_is_in_the_docs_and_in_the_help() -> None:
    named = {value for name, value in vars(ending).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", CLI, re.MULTILINE)} == {0, *named}
    assert {int(code) for code in re.findall(r"(\d+) [a-z]", ending.EPILOG)} == {0, *named}


def test_both_clients_have_the_methods_that_the_docs_list() -> None:
    listed = set(re.findall(r"`(\w+)`", "".join(line for line in PYTHON.splitlines() if line.startswith("| "))))
    for client in (Client, AsyncClient):
        methods = {name for name, _ in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}
        assert methods - {"ask", "close"} == listed
        assert all(getattr(client, name).__doc__ for name in listed)


@pytest.mark.usefixtures("worker")
def test_the_python_in_the_docs_runs(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = {f"pictures/{name}": data for name, data in folder(5).items()}
    write(tmp_path, {**pictures, "new-discs.jpg": jpeg("discs", 100), "new-stripes.jpg": jpeg("stripes", 100)})
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"^```python\n(.*?)^```$", PYTHON, re.MULTILINE | re.DOTALL):
        exec(block.replace("http://127.0.0.1:8000", service.url), {})  # noqa: S102 — our own page
    printed = capsys.readouterr().out
    assert "ready {'train':" in printed
    assert "\nsucceeded\n" in printed
    assert "new-discs.jpg " in printed
    assert "'vgg16'" in printed
