"""The commands that are the service itself. What they need is imported when they run: the others start faster."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from graft.cli.terminal import line


class Queue(StrEnum):
    """The queues of jobs."""

    DATASETS = "datasets"
    TRAINING = "training"


class LogLevel(StrEnum):
    """How much the HTTP server says about itself."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


def up() -> None:
    """Start the API and both workers in the foreground; Ctrl-C stops them."""
    from graft.cli.composition import usable_settings
    from graft.up import up as supervise

    raise typer.Exit(supervise(usable_settings(), line))


def api(
    log_level: Annotated[LogLevel, typer.Option(help="Least severity in the HTTP server's own log.")] = LogLevel.INFO,
) -> None:
    """Start the HTTP API alone."""
    from graft.cli.composition import run_api, usable_settings

    run_api(usable_settings(), log_level.value)


def worker(queue: Annotated[Queue, typer.Argument(help="The queue whose jobs it does.")]) -> None:
    """Start a worker for one queue."""
    from graft.cli.composition import usable_settings

    usable_settings()
    os.execv(sys.executable, [sys.executable, "-m", "worker.celery_app", queue.value])  # noqa: S606 — a fixed program


def fetch() -> None:
    """Look for both parts of the weights, and download what is missing. Fails when there is no trunk."""
    from graft.cli.composition import fetch_weights

    raise typer.Exit(0 if fetch_weights() else 1)
