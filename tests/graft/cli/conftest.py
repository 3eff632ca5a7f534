"""The command `graft`, in this process and against the real application; and somebody who does the work."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from graft.cli import app
from graft.jobs import Job
from tests.app.conftest import publish
from tests.drawing import folder, write
from tests.graft.serving import Service

PLAN = {
    "cut": "block5_pool",
    "reasons": ["15 training pictures are a small set.", "The last block's features are the best."],
    "recipe": {"preset": "auto", "cut": "block5_pool", "batch_norm": False, "augmentation": None},
    "candidates": [
        {
            "cut": "block5_pool",
            "frozen_convolutions": 13,
            "probe_accuracy": 0.95,
            "probe_error": 0.02,
            "epochs": 100,
            "seconds": 41.3,
            "fits": True,
        },
        {"cut": "block4_pool", "frozen_convolutions": 10, "probe_accuracy": 0.9, "epochs": 8, "seconds": 600.0},
        {"cut": "input", "frozen_convolutions": 0, "probe_accuracy": None, "epochs": 3, "seconds": 9e3, "fits": False},
    ],
}
METRICS = {"test": {"accuracy": 0.9, "pictures": 10}, "validation": {"accuracy": 0.8, "pictures": 5}}
Graft = Callable[..., Result]


@pytest.fixture
def graft(service: Service, monkeypatch: pytest.MonkeyPatch) -> Graft:
    """Runs the command; `code` is how it must end."""
    monkeypatch.setenv("GRAFT_URL", service.url)

    def run(*arguments: str | Path, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, f"{result.stdout}{result.stderr}{result.exception!r}"
        assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture
def worker(service: Service) -> Iterator[None]:
    """Somebody who validates, and who plans and trains in no time; a model that is called `bad` fails."""
    with _working(service):
        yield


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six pictures of each of three classes."""
    return write(tmp_path_factory.mktemp("cli") / "shapes", folder(6))


@contextmanager
def _working(service: Service) -> Iterator[None]:
    done = threading.Event()

    def work() -> None:
        jobs = service.services.jobs
        while not done.wait(0.01):
            if jobs.waiting("datasets", 0):
                service.validate()
            if job := jobs.claim("training", "test"):
                (_plan if job.kind == "plan" else _train)(service, job)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _plan(service: Service, job: Job) -> None:
    service.services.jobs.succeed(job.id, job.fence, result=PLAN)


def _train(service: Service, job: Job) -> None:
    jobs = service.services.jobs
    assert job.model is not None
    if job.model == "bad":
        jobs.fail(job.id, job.fence, code="invalid_input", message="The training has diverged.")
        return
    jobs.event(job.id, job.fence, "epoch", {"epoch": 1, "loss": 0.25, "val_accuracy": 0.8})
    version = jobs.reserve(job.id, job.fence, job.model)
    publish(service.services.registry, job.model, version, job.id)
    jobs.succeed(job.id, job.fence, version=version, metrics=METRICS)
