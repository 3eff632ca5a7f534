"""The images: what hadolint says, what goes in, who runs in them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graft.cli import app
from tests.deploy.compose import ROOT, stages

TARGETS = ("api", "worker")


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_base_is_pinned_by_tag_and_digest() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.1[1-3]\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)


def test_a_build_sees_what_it_copies_and_nothing_else() -> None:
    copied = {
        source.replace("${DEVICE}", device)
        for stage in stages().values()
        for source in stage.copied
        for device in ("cpu", "gpu")
    }
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / path).exists() for path in copied)


@pytest.mark.parametrize("target", TARGETS)
def test_nobody_in_an_image_is_root(target: str) -> None:
    """A number, as Kubernetes cannot tell from a name that it is not root."""
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", stages()[target].user)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_a_command_that_exists(target: str) -> None:
    program, *arguments = stages()[target].command
    assert program == "graft"
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0
