"""The supervisor with real job processes, and neither Celery nor a broker."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, update

from graft import tables
from graft.jobs import Job
from tests.worker.counting_worker import command
from tests.worker.workshop import ENDLESS, Workshop, processes_of, until
from worker.supervisor import Supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path / "home", f"sqlite:///{tmp_path / 'graft.db'}", None)
    for name in ("GRAFT_HOME", "GRAFT_DATABASE_URL"):  # the supervisor's children get this process's environment
        monkeypatch.setenv(name, workshop.environment[name])
    yield workshop
    workshop.close()


@contextmanager
def working(
    workshop: Workshop, *, grace_seconds: float = 5.0, on_end: Callable[[Job], None] = lambda _job: None
) -> Iterator[Supervisor]:
    """A supervisor that works off the queue in a thread; on leaving, until it has."""
    supervisor = Supervisor(
        workshop.jobs,
        "training",
        heartbeat_seconds=0.1,
        grace_seconds=grace_seconds,
        command=command,
        on_end=on_end,
    )
    thread = threading.Thread(target=supervisor.work)
    thread.start()
    try:
        yield supervisor
    finally:
        thread.join()
    assert not supervisor.busy


def test_an_error_that_another_run_would_meet_again_fails_the_job_at_once(embedded: Workshop) -> None:
    job = embedded.create({"steps": 3, "at": 2, "then": "refuse"}, ring=False)
    with working(embedded):
        pass
    failed = embedded.jobs.get(job.id)
    assert (failed.state, failed.failures, failed.error_code) == ("failed", 0, "invalid_input")
    assert failed.error_message == "A count must be finite; received infinity."


def test_a_process_that_kills_itself_is_told_by_its_signal(embedded: Workshop) -> None:
    job = embedded.create({"steps": 3, "at": 2, "then": "die"}, ring=False)
    with working(embedded):
        pass
    failed = embedded.jobs.get(job.id)
    assert (failed.state, failed.failures) == ("failed", 3)
    assert failed.error_message is not None
    assert "The job process ended with signal SIGKILL." in failed.error_message


def test_a_process_that_does_not_listen_is_killed_after_its_grace(embedded: Workshop) -> None:
    job = embedded.create({**ENDLESS, "deaf": True}, ring=False)
    with working(embedded, grace_seconds=0.3):
        until(lambda: embedded.counted(job) > 2)
        embedded.jobs.cancel(job.id)
    assert embedded.jobs.get(job.id).state == "cancelled"
    assert not processes_of(job.id)


def test_stopping_counts_no_failure_even_for_a_process_that_does_not_listen(embedded: Workshop) -> None:
    job = embedded.create({**ENDLESS, "deaf": True}, ring=False)
    other = embedded.create({"steps": 1}, ring=False)
    with working(embedded, grace_seconds=0.3) as supervisor:
        until(lambda: embedded.counted(job) > 2)
        supervisor.stop()
    left = embedded.jobs.get(job.id)
    assert (left.state, left.failures) == ("queued", 0)
    assert embedded.jobs.get(other.id).fence == 0, "nothing is claimed after the stop"


def test_a_supervisor_that_lost_its_claim_kills_its_process_and_writes_nothing(embedded: Workshop) -> None:
    job = embedded.create(ENDLESS, ring=False)
    with working(embedded) as supervisor:
        until(lambda: embedded.counted(job) > 2)
        with embedded.engine.begin() as connection:  # as if another worker had claimed it since
            connection.execute(update(tables.jobs).values(fence=7, owner="another"))
        until(lambda: not processes_of(job.id))
        supervisor.stop()
    now = embedded.jobs.get(job.id)
    assert (now.state, now.fence, now.failures) == ("running", 7, 0)
    assert [event.type for event in embedded.jobs.events(job.id)[0]] == ["queued", "running", "counting"]


def test_the_lease_is_renewed_while_the_process_runs(embedded: Workshop) -> None:
    job = embedded.create(ENDLESS, ring=False)
    with working(embedded) as supervisor:
        until(lambda: embedded.counted(job) > 2)
        with embedded.engine.begin() as connection:
            connection.execute(update(tables.jobs).values(lease_until=0))

        def renewed() -> bool:
            with embedded.engine.connect() as connection:
                return (connection.scalar(select(tables.jobs.c.lease_until)) or 0) > 0

        until(renewed)
        supervisor.stop()
    assert embedded.jobs.get(job.id).failures == 0


def test_the_end_of_each_run_is_told_once_it_is_written_down(embedded: Workshop) -> None:
    done = embedded.create({"steps": 1}, ring=False)
    refused = embedded.create({"steps": 3, "at": 2, "then": "refuse"}, ring=False)
    told: list[tuple[str, str]] = []
    with working(embedded, on_end=lambda job: told.append((job.id, embedded.jobs.get(job.id).state))):
        pass
    assert told == [(done.id, "succeeded"), (refused.id, "failed")]
