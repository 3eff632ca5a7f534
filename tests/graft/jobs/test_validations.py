"""What becomes of a dataset when its validation does not end well."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, insert, select

from graft import tables
from graft.jobs import Job, Jobs


def claimed(jobs: Jobs) -> Job:
    job = jobs.claim("datasets", "a test")
    assert job is not None
    return job


@pytest.fixture
def validation(jobs: Jobs, engine: Engine) -> Job:
    """A queued validation of a dataset."""
    values = {"id": "ds_1", "name": "n", "state": "validating", "split_request": {}, "problems": [], "created_at": 1}
    with engine.begin() as connection:
        connection.execute(insert(tables.datasets).values(**values))
    return jobs.create("validate", dataset="ds_1")


def cancel_while_queued(jobs: Jobs, job: Job) -> None:
    jobs.cancel(job.id)


def cancel_while_running(jobs: Jobs, job: Job) -> None:
    running = claimed(jobs)
    jobs.cancel(job.id)
    jobs.release(job.id, running.fence)


def fail(jobs: Jobs, job: Job) -> None:
    jobs.fail(job.id, claimed(jobs).fence, code="disk_full", message="No room is left.")


def lose_every_run(jobs: Jobs, job: Job) -> None:
    for _ in range(3):
        jobs.lost(job.id, claimed(jobs).fence, code="job_process_died", message="It was killed.")


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (cancel_while_queued, "The validation ended as cancelled. Upload the set again."),
        (cancel_while_running, "The validation ended as cancelled. Upload the set again."),
        (fail, "The validation ended as failed: No room is left. Upload the set again."),
        (lose_every_run, "The validation ended as failed: A job is given up after 3 lost runs."),
    ],
)
def test_a_dataset_whose_validation_ended_badly_is_rejected(
    jobs: Jobs, engine: Engine, validation: Job, end: Callable[[Jobs, Job], None], message: str
) -> None:
    end(jobs, validation)
    with engine.connect() as connection:
        row = connection.execute(select(tables.datasets.c.state, tables.datasets.c.problems)).one()
    assert row.state == "rejected"
    assert row.problems[0]["message"].startswith(message)


def test_a_validation_that_goes_back_to_the_queue_leaves_its_dataset_alone(
    jobs: Jobs, engine: Engine, validation: Job
) -> None:
    jobs.release(validation.id, claimed(jobs).fence)
    jobs.lost(validation.id, claimed(jobs).fence, code="job_process_died", message="It was killed.")
    with engine.connect() as connection:
        assert connection.scalar(select(tables.datasets.c.state)) == "validating"
