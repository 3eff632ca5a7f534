"""Trainings and plans that were asked for while their dataset is still being validated."""

import pytest
from sqlalchemy import Engine, insert, select, update

from graft import tables
from graft.jobs import Job, Jobs, Kind

REVISION = "a" * 64


@pytest.fixture
def validation(jobs: Jobs, engine: Engine) -> Job:
    """A running validation of a dataset."""
    values = {"id": "ds_1", "name": "n", "state": "validating", "split_request": {}, "problems": [], "created_at": 1}
    with engine.begin() as connection:
        connection.execute(insert(tables.datasets).values(**values))
    jobs.create("validate", dataset="ds_1")
    job = jobs.claim("datasets", "a test")
    assert job is not None
    return job


def conclude(engine: Engine, state: str, **values: object) -> None:
    """What the validation writes into the dataset's row, before its job ends."""
    with engine.begin() as connection:
        connection.execute(update(tables.datasets).values(state=state, **values))


@pytest.mark.parametrize("kind", ["train", "plan"])
def test_it_waits_and_gets_the_revision(jobs: Jobs, engine: Engine, validation: Job, kind: Kind) -> None:
    waiting = jobs.create(kind, dataset="ds_1")
    assert jobs.claim("training", "a test") is None
    assert not jobs.waiting("training", 0)
    conclude(engine, "ready", revision=REVISION)
    assert jobs.claim("training", "a test") is None
    jobs.succeed(validation.id, validation.fence)
    assert jobs.waiting("training", 0)
    claimed = jobs.claim("training", "a test")
    assert claimed is not None
    assert (claimed.id, claimed.revision) == (waiting.id, REVISION)


def test_it_fails_with_its_dataset(jobs: Jobs, engine: Engine, validation: Job) -> None:
    training = jobs.create("train", model="m", dataset="ds_1")
    conclude(engine, "rejected", problems=[{"path": None, "code": "c", "message": "One class."}])
    jobs.succeed(validation.id, validation.fence)
    failed = jobs.get(training.id)
    assert (failed.state, failed.error_code) == ("failed", "dataset_rejected")
    assert failed.error_message == "A job needs a ready dataset; ds_1 was rejected: One class."
    assert failed.finished_at is not None
    assert [event.type for event in jobs.events(training.id)[0]] == ["queued", "failed"]


def test_it_fails_when_the_validation_is_cancelled(jobs: Jobs, validation: Job) -> None:
    training = jobs.create("train", model="m", dataset="ds_1")
    jobs.cancel(validation.id)
    jobs.release(validation.id, validation.fence)
    assert jobs.get(training.id).error_code == "dataset_rejected"


def test_one_that_comes_as_the_validation_ends_does_not_wait(jobs: Jobs, engine: Engine, validation: Job) -> None:
    conclude(engine, "ready", revision=REVISION)
    jobs.succeed(validation.id, validation.fence)
    assert jobs.create("train", model="m", dataset="ds_1").revision == REVISION


def test_it_gets_the_revision_of_a_dataset_that_was_opened_again_meanwhile(
    jobs: Jobs, engine: Engine, validation: Job
) -> None:
    training = jobs.create("train", model="m", dataset="ds_1")
    conclude(engine, "open", revision=REVISION)
    jobs.succeed(validation.id, validation.fence)
    assert jobs.get(training.id).revision == REVISION


def test_a_dataset_that_was_committed_again_meanwhile_is_validated_again(
    jobs: Jobs, engine: Engine, validation: Job
) -> None:
    conclude(engine, "validating", revision=REVISION)
    assert jobs.validates("ds_1")
    jobs.succeed(validation.id, validation.fence)
    again = jobs.claim("datasets", "a test")
    assert again is not None
    assert (again.kind, again.dataset, again.state) == ("validate", "ds_1", "running")


def test_it_fails_when_the_dataset_was_opened_again_before_it_was_valid(
    jobs: Jobs, engine: Engine, validation: Job
) -> None:
    training = jobs.create("train", model="m", dataset="ds_1")
    conclude(engine, "open")
    jobs.succeed(validation.id, validation.fence)
    assert jobs.get(training.id).error_message == (
        "A job needs a ready dataset; ds_1 was opened again before it was valid."
    )


def test_a_dataset_that_another_job_validates_is_not_rejected_with_this_one(
    jobs: Jobs, engine: Engine, validation: Job
) -> None:
    another = jobs.create("validate", dataset="ds_1")
    jobs.cancel(another.id)
    with engine.connect() as connection:
        assert connection.scalar(select(tables.datasets.c.state)) == "validating"
    jobs.fail(validation.id, validation.fence, code="no", message="No.")
    with engine.connect() as connection:
        assert connection.scalar(select(tables.datasets.c.state)) == "rejected"


def test_one_on_a_dataset_that_is_gone_fails(jobs: Jobs) -> None:
    assert jobs.create("train", model="m", dataset="ds_none").error_message == (
        "A job needs a ready dataset; ds_none is deleted."
    )


def test_one_that_waits_can_be_cancelled(jobs: Jobs, engine: Engine, validation: Job) -> None:
    training = jobs.create("train", model="m", dataset="ds_1")
    assert jobs.cancel(training.id).state == "cancelled"
    conclude(engine, "ready", revision=REVISION)
    jobs.succeed(validation.id, validation.fence)
    assert (jobs.get(training.id).state, jobs.get(training.id).revision) == ("cancelled", None)


def test_those_that_have_a_revision_are_left_alone(jobs: Jobs, engine: Engine, validation: Job) -> None:
    training = jobs.create("train", model="m", dataset="ds_1", revision="b" * 64)
    conclude(engine, "rejected")
    jobs.succeed(validation.id, validation.fence)
    assert (jobs.get(training.id).state, jobs.get(training.id).revision) == ("queued", "b" * 64)
