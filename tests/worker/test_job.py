"""The job process itself: what each kind does, and how it ends."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from graft.database import connect, migrate
from graft.jobs import Jobs, Kind
from graft.settings import Settings
from graft.stores import open_stores
from tests.drawing import CLASSES, folder
from tests.graft.datasets.filling import create
from worker.supervisor import Supervisor


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path))
    return Settings()


@pytest.fixture
def jobs(settings: Settings) -> Iterator[Jobs]:
    engine = connect(settings.sqlalchemy_url)
    migrate(engine)
    yield Jobs(engine)
    engine.dispose()


def work_off(jobs: Jobs, queue: str) -> None:
    """Run what waits, each job in a real process of the real command."""
    thread = threading.Thread(target=Supervisor(jobs, queue, heartbeat_seconds=1).work)
    thread.start()
    thread.join()


def test_a_validate_job_makes_the_dataset_ready(jobs: Jobs, settings: Settings) -> None:
    engine = connect(settings.sqlalchemy_url)
    datasets = open_stores(settings, engine).datasets
    dataset = create(datasets, folder(3), name="drawn")
    job = jobs.create("validate", dataset=dataset.id)
    work_off(jobs, "datasets")
    done, ready = jobs.get(job.id), datasets.get(dataset.id)
    engine.dispose()
    assert (done.state, done.error_message) == ("succeeded", None)
    assert (ready.state, ready.classes) == ("ready", CLASSES)
    assert done.result == {"state": "ready", "revision": ready.revision}


@pytest.mark.parametrize(
    ("kind", "queue", "message"),
    [
        ("validate", "datasets", "A validate job needs a dataset"),
        ("plan", "training", "A plan job needs a dataset with its revision, and a recipe"),
        ("predict", "training", "A job's kind must be one of validate, train, plan; received predict."),
    ],
)
def test_a_job_that_cannot_be_done_fails_in_a_sentence(jobs: Jobs, kind: Kind, queue: str, message: str) -> None:
    job = jobs.create(kind)
    work_off(jobs, queue)
    failed = jobs.get(job.id)
    assert (failed.state, failed.error_code, failed.failures) == ("failed", "invalid_input", 0)
    assert failed.error_message is not None
    assert message in failed.error_message


def test_a_dataset_that_is_gone_fails_its_job(jobs: Jobs) -> None:
    job = jobs.create("validate", dataset="ds_gone")
    work_off(jobs, "datasets")
    assert (jobs.get(job.id).state, jobs.get(job.id).error_code) == ("failed", "not_found")
