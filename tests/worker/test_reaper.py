from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from graft import tables
from graft.database import connect, migrate
from graft.jobs import Jobs
from worker.reaper import Reaper


class Bell:
    """A doorbell that remembers."""

    def __init__(self) -> None:
        self.rings: list[tuple[str, str]] = []

    def ring(self, queue: str, job_id: str) -> None:
        self.rings.append((queue, job_id))


class Bench:
    """A reaper whose worker is free or busy as the test says."""

    def __init__(self, url: str, patience_seconds: float) -> None:
        self.engine = connect(url)
        migrate(self.engine)
        self.jobs = Jobs(self.engine)
        self.bell = Bell()
        self.busy = False
        self.tended = 0
        self.reaper = Reaper(
            self.jobs,
            self.bell,
            "training",
            busy=lambda: self.busy,
            tend_broker=self.tend,
            every_seconds=3600,
            patience_seconds=patience_seconds,
        )

    def tend(self) -> None:
        self.tended += 1


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(f"sqlite:///{tmp_path / 'graft.db'}", patience_seconds=0)
    yield bench
    bench.engine.dispose()


def test_a_job_that_waits_rings_only_when_the_worker_is_free(bench: Bench) -> None:
    bench.reaper.look()
    assert bench.bell.rings == []
    bench.jobs.create("train")
    bench.busy = True
    bench.reaper.look()
    assert bench.bell.rings == []
    bench.busy = False
    bench.reaper.look()
    assert [queue for queue, _ in bench.bell.rings] == ["training"]
    assert bench.tended == 3


def test_it_does_not_ring_for_another_queue(bench: Bench) -> None:
    bench.jobs.create("validate")
    bench.reaper.look()
    assert bench.bell.rings == []


def test_it_rings_once_in_its_patience_however_often_it_looks(tmp_path: Path) -> None:
    bench = Bench(f"sqlite:///{tmp_path / 'graft.db'}", patience_seconds=60)
    for _ in range(3):
        bench.jobs.create("train")
    with bench.engine.begin() as connection:
        connection.execute(update(tables.jobs).values(queued_at=0))
    for _ in range(3):
        bench.reaper.look()
    bench.engine.dispose()
    assert len(bench.bell.rings) == 1


def test_an_expired_lease_rings_for_the_jobs_own_queue(bench: Bench) -> None:
    hasty = Jobs(bench.engine, lease_seconds=-1)
    job = bench.jobs.create("validate")
    hasty.claim("datasets", "a worker that died")
    bench.reaper.look()
    assert bench.jobs.get(job.id).state == "queued"
    assert bench.bell.rings == [("datasets", job.id)]


def test_a_look_that_fails_is_not_the_last(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(f"sqlite:///{tmp_path / 'graft.db'}", patience_seconds=0)

    def fail() -> None:
        bench.tended += 1
        if bench.tended == 3:
            bench.reaper.stop()
        raise OSError("the disk is away")

    reaper = Reaper(
        bench.jobs, bench.bell, "training", busy=lambda: False, tend_broker=fail, every_seconds=0, patience_seconds=0
    )
    bench.reaper = reaper
    reaper.start()
    reaper.join()
    bench.engine.dispose()
    assert bench.tended == 3
    assert "the disk is away" in caplog.text
