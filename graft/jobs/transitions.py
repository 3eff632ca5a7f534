"""What happens to a job inside one transaction. Each function here expects an open one, for writing."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, exists, func, insert, not_, null, select, update

from graft import tables
from graft.database import new_id, now_ms
from graft.errors import NotFound, StaleFence
from graft.jobs.records import MAX_FAILURES, OWNED, QUEUE_OF, Job, Kind

_jobs = tables.jobs
DATASET_REJECTED = "dataset_rejected"
COLUMNS = tuple(_jobs.c[name] for name in Job.__dataclass_fields__)


def job_of(row: RowMapping) -> Job:
    return Job(**row)


def get(connection: Connection, job_id: str) -> Job:
    row = connection.execute(select(*COLUMNS).where(_jobs.c.id == job_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}. GET /api/v1/jobs lists them.")
    return job_of(row)


def claimable(queue: str) -> ColumnElement[bool]:
    """Of a row of `jobs`: whether a worker of the queue may take it."""
    return and_(_jobs.c.queue == queue, _jobs.c.state == "queued", not_(tables.waits_for_dataset))


def queue(connection: Connection, *, kind: Kind, **values: Any) -> Job:
    """Write a new job. `values`: columns; id and metadata among them."""
    times = {"created_at": now_ms, "queued_at": now_ms}
    statement = insert(_jobs).values(kind=kind, queue=QUEUE_OF[kind], state="queued", **times, **values)
    job = job_of(connection.execute(statement.returning(*COLUMNS)).mappings().one())
    append(connection, job.id, "queued", {})
    return job


def append(connection: Connection, job_id: str, type: str, data: Mapping[str, Any]) -> None:
    """Add to the event log. The transaction must have changed the job's row before: that lock keeps ids in order."""
    connection.execute(insert(tables.job_events).values(job_id=job_id, type=type, data=dict(data), at=now_ms))


def change(connection: Connection, job_id: str, fence: int, **values: Any) -> Job:
    """Change the job if the claim with this fence holds, and lock its row in any case. Raises StaleFence."""
    statement = (
        update(_jobs)
        .where(_jobs.c.id == job_id, _jobs.c.fence == fence, _jobs.c.state.in_(OWNED))
        .values(fence=fence, **values)
        .returning(*COLUMNS)
    )
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise stale(connection, job_id, fence)
    return job_of(row)


def stale(connection: Connection, job_id: str, fence: int) -> StaleFence:
    job = get(connection, job_id)
    return StaleFence(
        f"Only the owner of a job may write to it; received fence {fence} for {job_id}, "
        f"which is {job.state} under fence {job.fence}. Stop this run."
    )


def finish(connection: Connection, job_id: str, fence: int, state: str, **values: Any) -> Job:
    """End the job. The caller appends the event."""
    return change(connection, job_id, fence, state=state, finished_at=now_ms, lease_until=None, **values)


def leave(connection: Connection, job: Job) -> Job:
    """An owner gives the job back: queued again, or cancelled where that was asked for."""
    if job.state == "cancelling":
        cancelled = finish(connection, job.id, job.fence, "cancelled")
        append(connection, job.id, "cancelled", {})
        abandon(connection, cancelled)
        return cancelled
    left: dict[str, Any] = {"lease_until": None, "owner": None, "progress": null()}
    queued = change(connection, job.id, job.fence, state="queued", queued_at=now_ms, **left)
    append(connection, job.id, "queued", {})
    return queued


def lose(connection: Connection, job: Job, code: str, message: str) -> Job:
    """A run was lost: one failure more, then back to the queue, unless that was one too many."""
    failures = job.failures + 1
    job = change(connection, job.id, job.fence, failures=failures)
    append(connection, job.id, "lost", {"failures": failures, "code": code, "message": message})
    if job.state == "cancelling" or failures < MAX_FAILURES:
        return leave(connection, job)
    reason = f"A job is given up after {MAX_FAILURES} lost runs. The last one: {message}"
    return fail(connection, job.id, job.fence, code, reason)


def fail(connection: Connection, job_id: str, fence: int, code: str, message: str) -> Job:
    """The job ends without its work done."""
    job = finish(connection, job_id, fence, "failed", error_code=code, error_message=message)
    append(connection, job_id, "failed", {"code": code, "message": message})
    abandon(connection, job)
    return job


def abandon(connection: Connection, job: Job) -> None:
    """A dataset whose validation has failed or was cancelled is rejected: nobody would ever make it ready."""
    if job.kind != "validate" or job.dataset is None:
        return
    lock_dataset(connection, job.dataset)
    if is_validated(connection, job.dataset):  # by another job
        return
    reason = f"The validation ended as {job.state}{f': {job.error_message}' if job.error_message else '.'}"
    problem = {"path": None, "code": f"validation_{job.state}", "message": f"{reason} Upload the set again."}
    datasets = tables.datasets
    connection.execute(
        update(datasets)
        .where(datasets.c.id == job.dataset, datasets.c.state == "validating")
        .values(state="rejected", problems=[problem])
    )
    settle_waiting(connection, job.dataset)


def settle_waiting(connection: Connection, dataset_id: str) -> None:
    """The jobs that wait for the dataset get its revision, or fail with it; none does while it is validated.

    Locks the dataset's row: its validation cannot end between this look and the end of the transaction.
    """
    datasets = tables.datasets
    query = select(datasets.c.state, datasets.c.revision, datasets.c.problems).where(datasets.c.id == dataset_id)
    dataset = connection.execute(query.with_for_update()).one_or_none()
    waiting = update(_jobs).where(_jobs.c.dataset == dataset_id, _jobs.c.state == "queued", tables.waits_for_dataset)
    if dataset is not None and dataset.revision is not None:
        connection.execute(waiting.values(revision=dataset.revision, queued_at=now_ms))
    elif dataset is None or dataset.state != "validating":
        if dataset is None:
            why = f"{dataset_id} is deleted."
        elif dataset.state == "rejected":
            why = rejection(dataset_id, dataset.problems)
        else:
            why = f"{dataset_id} was opened again before it was valid."
        message = f"A job needs a ready dataset; {why}"
        failed = {"state": "failed", "finished_at": now_ms, "error_code": DATASET_REJECTED, "error_message": message}
        for job_id in connection.execute(waiting.values(**failed).returning(_jobs.c.id)).scalars().all():
            append(connection, job_id, "failed", {"code": DATASET_REJECTED, "message": message})


def lock_dataset(connection: Connection, dataset_id: str) -> None:
    """Nobody deletes it until the transaction ends: whoever wants to then sees the job that uses it."""
    datasets = tables.datasets
    connection.execute(select(datasets.c.id).where(datasets.c.id == dataset_id).with_for_update())


def validated(connection: Connection, dataset_id: str) -> None:
    """A validation has done its work, and its job is finished."""
    settle_waiting(connection, dataset_id)
    datasets = tables.datasets
    state = connection.scalar(select(datasets.c.state).where(datasets.c.id == dataset_id))
    if state == "validating" and not is_validated(connection, dataset_id):
        # Files were added and committed once the dataset was ready and before the job was: its commit queued no other.
        queue(connection, id=new_id("job"), kind="validate", dataset=dataset_id, metadata={})


def is_validated(connection: Connection, dataset_id: str) -> bool:
    """Whether a validation of the dataset waits or runs."""
    validation = (_jobs.c.dataset == dataset_id, _jobs.c.kind == "validate", tables.unfinished)
    return bool(connection.scalar(select(exists().where(*validation))))


def rejection(dataset_id: str, problems: Sequence[Mapping[str, Any]]) -> str:
    """The half of a sentence that says that the dataset was rejected, and the first reasons."""
    return f"{dataset_id} was rejected: {' '.join(problem['message'] for problem in problems[:3])}"


def reserve(connection: Connection, job_id: str, fence: int, model: str, above: int) -> int:
    """The job's version of the model: the one it reserved before, or the next number that was never given."""
    change(connection, job_id, fence)
    versions = tables.model_versions
    again = update(versions).where(versions.c.job_id == job_id).values(fence=fence).returning(versions.c.version)
    mine: int | None = connection.scalar(again)
    if mine is not None:
        return mine
    last: int | None = connection.scalar(select(func.max(versions.c.version)).where(versions.c.model == model))
    version = max(last or 0, above) + 1
    row = {"model": model, "version": version, "job_id": job_id, "fence": fence, "created_at": now_ms}
    connection.execute(insert(versions).values(row))
    return version
