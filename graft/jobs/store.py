"""The job table: every change of a job is one transaction that also appends to its event log."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

from sqlalchemy import Engine, and_, case, exists, func, select, update
from sqlalchemy.exc import IntegrityError

from graft import tables
from graft.database import new_id, newest_first, now_ms, reading
from graft.errors import Conflict
from graft.jobs import transitions
from graft.jobs.records import OWNED, QUEUES, UNFINISHED, Event, Job, Kind, Standing, State
from graft.jobs.transitions import COLUMNS, append, change, job_of

_jobs = tables.jobs
JobPage = tuple[list[Job], bool]
EventPage = tuple[list[Event], bool]


class Jobs:
    """Everything that is done to jobs.

    Methods that take a fence raise StaleFence once the job has another owner or is finished: the caller must then stop.
    """

    def __init__(self, engine: Engine, *, lease_seconds: float = 60.0) -> None:
        self._engine = engine
        self._lease_until = now_ms + round(lease_seconds * 1000)

    # Anybody's side: ask for jobs and look at them.

    def create(
        self,
        kind: Kind,
        *,
        id: str | None = None,
        model: str | None = None,
        dataset: str | None = None,
        revision: str | None = None,
        recipe: dict[str, Any] | None = None,
        priority: int = 0,
        metadata: dict[str, Any] | None = None,
    ) -> Job:
        """Queue a job. A higher priority is claimed first. The caller rings the doorbell.

        A training or a plan on a dataset without a revision waits until that is validated, and fails if it is rejected.

        id: for a caller that must not create the job twice. With the id of one that is there: that one, as it is.
        """
        job_id = id or new_id("job")
        try:
            with self._engine.begin() as connection:
                if dataset is not None:
                    transitions.lock_dataset(connection, dataset)
                job = transitions.queue(
                    connection,
                    id=job_id,
                    kind=kind,
                    model=model,
                    dataset=dataset,
                    revision=revision,
                    recipe=recipe,
                    priority=priority,
                    metadata=metadata or {},
                )
                if dataset is not None and revision is None:  # its validation may have ended a moment ago
                    transitions.settle_waiting(connection, dataset)
                    job = transitions.get(connection, job_id)
        except IntegrityError:
            return self.get(job_id)
        return job

    def get(self, job_id: str) -> Job:
        with reading(self._engine) as connection:
            return transitions.get(connection, job_id)

    def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        states: Collection[State] = (),
        kinds: Collection[Kind] = (),
        models: Collection[str] = (),
        datasets: Collection[str] = (),
    ) -> JobPage:
        """A page, newest first, of those older than the job `after`; and whether there are more.

        Each filter that names anything asks for one of what it names.
        """
        wanted = {"state": states, "kind": kinds, "model": models, "dataset": datasets}
        query = select(*COLUMNS).where(*(_jobs.c[name].in_(values) for name, values in wanted.items() if values))
        with reading(self._engine) as connection:
            rows, more = newest_first(connection, query, _jobs, "job", limit=limit, after=after)
        return [job_of(row) for row in rows], more

    def events(self, job_id: str, *, after: int = 0, limit: int = 100) -> EventPage:
        """A page, oldest first, of the events with ids above `after`; and whether there are more."""
        log = tables.job_events
        query = select(log.c.id, log.c.type, log.c.data, log.c.at).where(log.c.job_id == job_id, log.c.id > after)
        with reading(self._engine) as connection:
            transitions.get(connection, job_id)
            rows = connection.execute(query.order_by(log.c.id).limit(limit + 1)).all()
        return [Event(*row) for row in rows[:limit]], len(rows) > limit

    def standings(self, job_ids: Collection[str]) -> dict[str, Standing]:
        """How far each of these jobs is, in one look; those that do not exist are left out."""
        log = tables.job_events
        newest = select(func.max(log.c.id)).where(log.c.job_id == _jobs.c.id).scalar_subquery()
        query = select(_jobs.c.id, newest, _jobs.c.progress, _jobs.c.finished_at.is_not(None))
        with reading(self._engine) as connection:
            rows = connection.execute(query.where(_jobs.c.id.in_(job_ids)))
            return {row[0]: Standing(*row[1:]) for row in rows}

    def cancel(self, job_id: str) -> Job:
        """Cancel: at once when it is queued, by its supervisor when it runs. Raises Conflict when it is finished."""
        queued = _jobs.c.state == "queued"
        statement = (
            update(_jobs)
            .where(_jobs.c.id == job_id, _jobs.c.state.in_(["queued", "running"]))
            .values(
                state=case((queued, "cancelled"), else_="cancelling"),
                finished_at=case((queued, now_ms), else_=None),
            )
        )
        with self._engine.begin() as connection:
            row = connection.execute(statement.returning(*COLUMNS)).mappings().one_or_none()
            if row is not None:
                append(connection, job_id, row["state"], {})
                job = job_of(row)
                if job.state == "cancelled":
                    transitions.abandon(connection, job)
                return job
            job = transitions.get(connection, job_id)
        if job.state in ("succeeded", "failed"):
            raise Conflict(f"Only a job that is not finished can be cancelled; {job_id} has {job.state}.")
        return job

    def is_over(self, job_id: str) -> bool:
        """Whether the job has ended, or never was."""
        query = select(exists().where(_jobs.c.id == job_id, tables.unfinished))
        with reading(self._engine) as connection:
            return not connection.scalar(query)

    def waiting(self, queue: str, older_than_seconds: float) -> bool:
        """Whether a job of the queue has waited longer than that for a worker."""
        long_ago = now_ms - round(older_than_seconds * 1000)
        query = select(exists().where(transitions.claimable(queue), _jobs.c.queued_at <= long_ago))
        with reading(self._engine) as connection:
            return bool(connection.scalar(query))

    def unfinished(self) -> dict[tuple[str, State], int]:
        """How many jobs wait or run, by queue and state; each pair is there."""
        queue, state = _jobs.c.queue, _jobs.c.state
        query = select(queue, state, func.count()).where(queue.in_(QUEUES), state.in_(UNFINISHED))
        with reading(self._engine) as connection:
            found = {(row[0], row[1]): row[2] for row in connection.execute(query.group_by(queue, state))}
        return {pair: found.get(pair, 0) for pair in product(QUEUES, UNFINISHED)}

    def validates(self, dataset: str) -> bool:
        """Whether a validation of the dataset waits or runs."""
        with reading(self._engine) as connection:
            return transitions.is_validated(connection, dataset)

    # The worker's side: claim a job and keep it.

    def claim(self, queue: str, owner: str) -> Job | None:
        """Take the best job of the queue (priority, then age), or one whose lease has run out. None: there is none."""
        self.requeue_expired(queue)
        best = (
            select(_jobs.c.id)
            .where(transitions.claimable(queue))
            .order_by(_jobs.c.priority.desc(), _jobs.c.created_at, _jobs.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)  # on SQLite, BEGIN IMMEDIATE does the same
            .scalar_subquery()
        )
        statement = (
            update(_jobs)
            .where(_jobs.c.id == best)
            .values(
                state="running",
                owner=owner,
                fence=_jobs.c.fence + 1,
                lease_until=self._lease_until,
                started_at=func.coalesce(_jobs.c.started_at, now_ms),
            )
        )
        with self._engine.begin() as connection:
            row = connection.execute(statement.returning(*COLUMNS)).mappings().one_or_none()
            if row is None:
                return None
            append(connection, row["id"], "running", {"owner": owner, "fence": row["fence"]})
            return job_of(row)

    def heartbeat(self, job_id: str, fence: int) -> Job:
        """Renew the lease. The job's state says whether somebody has asked to cancel it."""
        with self._engine.begin() as connection:
            return change(connection, job_id, fence, lease_until=self._lease_until)

    def check(self, job_id: str, fence: int) -> None:
        """Raise StaleFence unless the claim with this fence still holds."""
        owned = exists().where(_jobs.c.id == job_id, _jobs.c.fence == fence, _jobs.c.state.in_(OWNED))
        with reading(self._engine) as connection:
            if not connection.scalar(select(owned)):
                raise transitions.stale(connection, job_id, fence)

    def progress(self, job_id: str, fence: int, progress: Mapping[str, Any]) -> None:
        """Write where the job is. No event: these come by the second."""
        with self._engine.begin() as connection:
            change(connection, job_id, fence, progress=dict(progress))

    def event(self, job_id: str, fence: int, type: str, data: Mapping[str, Any]) -> None:
        """Append to the job's event log."""
        with self._engine.begin() as connection:
            change(connection, job_id, fence)
            append(connection, job_id, type, data)

    def settle(self, job_id: str, fence: int, recipe: Mapping[str, Any]) -> None:
        """Put the recipe that a plan has come to in the place of what was asked."""
        with self._engine.begin() as connection:
            change(connection, job_id, fence, recipe=dict(recipe))
            append(connection, job_id, "recipe", recipe)

    # Publishing: reserve a version, rename its folder into place, succeed.

    def reserve(self, job_id: str, fence: int, model: str, *, above: int = 0) -> int:
        """The number of the version that the job publishes; asked again, by a later claim too, the same one.

        `above`: the newest version that lies in the registry, which may know more than a database that was made anew.
        """
        while True:
            try:
                with self._engine.begin() as connection:
                    return transitions.reserve(connection, job_id, fence, model, above)
            except IntegrityError:  # on PostgreSQL, another job took that number meanwhile
                continue

    def reserved(self, job_id: str) -> tuple[str, int] | None:
        """The model and version that the job has reserved, published or not."""
        versions = tables.model_versions
        with reading(self._engine) as connection:
            row = connection.execute(
                select(versions.c.model, versions.c.version).where(versions.c.job_id == job_id)
            ).one_or_none()
        return None if row is None else (row.model, row.version)

    # How a run ends.

    def succeed(
        self,
        job_id: str,
        fence: int,
        *,
        version: int | None = None,
        metrics: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """The work is done. That holds for a job that was being cancelled, too: its version is published."""
        values = {"version": version, "metrics": metrics, "result": result}
        with self._engine.begin() as connection:
            job = transitions.finish(
                connection, job_id, fence, "succeeded", **{k: v for k, v in values.items() if v is not None}
            )
            if version is not None:
                append(connection, job_id, "published", {"model": job.model, "version": version})
            append(connection, job_id, "succeeded", {})
            if job.kind == "validate" and job.dataset is not None:
                transitions.validated(connection, job.dataset)

    def fail(self, job_id: str, fence: int, *, code: str, message: str) -> None:
        """The work cannot be done, and another run would not do better."""
        with self._engine.begin() as connection:
            transitions.fail(connection, job_id, fence, code, message)

    def release(self, job_id: str, fence: int) -> Job:
        """The run was asked to stop and has saved its state: queued again with no failure counted, or cancelled."""
        with self._engine.begin() as connection:
            return transitions.leave(connection, change(connection, job_id, fence))

    def lost(self, job_id: str, fence: int, *, code: str, message: str) -> Job:
        """The run crashed: queued again with one more failure, and failed when that was one too many."""
        with self._engine.begin() as connection:
            return transitions.lose(connection, change(connection, job_id, fence), code, message)

    def requeue_expired(self, queue: str | None = None) -> Sequence[Job]:
        """Count every run whose lease has run out as lost, in one queue or in all. Returns the jobs as they are now."""
        expired = and_(_jobs.c.state.in_(OWNED), _jobs.c.lease_until < now_ms)
        if queue is not None:
            expired = and_(expired, _jobs.c.queue == queue)
        with reading(self._engine) as connection:
            if not connection.scalar(select(exists().where(expired))):
                return []
        with self._engine.begin() as connection:
            query = select(*COLUMNS).where(expired).order_by(_jobs.c.id).with_for_update(skip_locked=True)
            rows = connection.execute(query).mappings().all()
            message = "The worker was not heard of before its lease ran out."
            return [transitions.lose(connection, job_of(row), "lease_expired", message) for row in rows]
