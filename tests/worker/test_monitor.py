from collections.abc import Iterator
from pathlib import Path

import pytest

from graft.database import connect, migrate
from graft.errors import StaleFence
from graft.jobs import Job, Jobs
from graft.types import Monitor, Progress
from worker.monitor import JobMonitor


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    engine = connect(f"sqlite:///{tmp_path / 'graft.db'}")
    migrate(engine)
    yield Jobs(engine)
    engine.dispose()


@pytest.fixture
def job(jobs: Jobs) -> Job:
    jobs.create("train")
    job = jobs.claim("training", "a test")
    assert job is not None
    return job


def test_reports_are_thinned_to_one_a_second_but_never_the_end_of_an_epoch_or_a_new_phase(jobs: Jobs, job: Job) -> None:
    clock = Clock()
    monitor: Monitor = JobMonitor(jobs, job.id, job.fence, clock=clock)

    def written(progress: Progress) -> bool:
        monitor.report(progress)
        return jobs.get(job.id).progress == progress.as_dict()

    assert written(Progress("extracting", step=1, steps=9))
    assert not written(Progress("extracting", step=2, steps=9))
    clock.now += 1.0
    assert written(Progress("extracting", step=3, steps=9))
    assert not written(Progress("extracting", step=4, steps=9))
    assert written(Progress("extracting", step=9, steps=9))
    assert written(Progress("training", epoch=1, epochs=2, step=1, steps=2))
    assert written(Progress("training", epoch=1, epochs=2, step=2, steps=2))
    assert not written(Progress("training", epoch=2, epochs=2, step=1, steps=2))


def test_a_stale_monitor_refuses_everything(jobs: Jobs, job: Job) -> None:
    monitor = JobMonitor(jobs, job.id, job.fence)
    monitor.guard()
    monitor.event("epoch", {"epoch": 1})
    jobs.release(job.id, job.fence)
    for act in (
        monitor.guard,
        lambda: monitor.event("epoch", {"epoch": 2}),
        lambda: monitor.report(Progress("training")),
    ):
        with pytest.raises(StaleFence):
            act()


def test_a_stop_is_seen(jobs: Jobs, job: Job) -> None:
    monitor = JobMonitor(jobs, job.id, job.fence)
    assert not monitor.stop_requested()
    monitor.stop()
    assert monitor.stop_requested()
