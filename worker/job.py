"""The job process: `python -m worker.job JOB FENCE`. It does one job under one claim, then ends.

Exit status: 0, the end of the run is written down; RELEASED, it was asked to stop and its state is saved, or another
claim has taken over; anything else is a crash. SIGTERM: save the state and leave.
"""

import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from graft.database import connect
from graft.errors import DiskFull, GraftError, Interrupted, InvalidInput, StaleFence, Unavailable
from graft.jobs import Job, Jobs
from graft.settings import Settings
from graft.stores import Stores, open_stores
from worker.death_watch import end_with_supervisor
from worker.monitor import JobMonitor
from worker.process import RELEASED

logger = logging.getLogger(__name__)
NICENESS = 10
AUTOGROUP = Path("/proc/self/autogroup")


@dataclass(frozen=True)
class Desk:
    """What a job has to work with."""

    settings: Settings
    stores: Stores
    job: Job
    monitor: JobMonitor


@dataclass(frozen=True)
class Outcome:
    """What a job that has succeeded leaves in its row."""

    version: int | None = None
    metrics: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None


Work = Callable[[Desk], Outcome]


def main(arguments: list[str], work: Work) -> int:
    """Do the job with the id and the fence in `arguments`. Returns the exit status."""
    job_id, fence = arguments[0], int(arguments[1])
    end_with_supervisor()
    give_way()
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname)s {job_id}: %(message)s")
    settings = Settings()
    engine = connect(settings.sqlalchemy_url)
    stores = open_stores(settings, engine)
    jobs = stores.jobs
    monitor = JobMonitor(jobs, job_id, fence)
    signal.signal(signal.SIGTERM, lambda _number, _frame: monitor.stop())
    try:
        monitor.guard()
        # The claim is that of the arguments, whoever has taken the job since.
        outcome = work(Desk(settings, stores, replace(jobs.get(job_id), fence=fence), monitor))
        jobs.succeed(job_id, fence, version=outcome.version, metrics=outcome.metrics, result=outcome.result)
    except (Interrupted, StaleFence) as error:
        logger.info("%s", error)
        return RELEASED
    except GraftError as error:
        _give_up(jobs, job_id, fence, error)
    finally:
        engine.dispose()
    return 0


def give_way() -> None:
    """Serving goes first. Where Linux groups tasks by session, priorities only count within one, and this process has a
    session of its own: then the group is told, too (sched(7), "The autogroup feature").
    """
    os.nice(NICENESS)
    with suppress(OSError):
        AUTOGROUP.write_text(str(NICENESS))


def _give_up(jobs: Jobs, job_id: str, fence: int, error: GraftError) -> None:
    """Fail the job; or count the run as lost where another one may do better: room on the disk, weights that come."""
    passing = isinstance(error, Unavailable | DiskFull)
    logger.log(logging.WARNING if passing else logging.ERROR, "%s", error)
    with suppress(StaleFence):
        (jobs.lost if passing else jobs.fail)(job_id, fence, code=_code(error), message=str(error))


def _code(error: GraftError) -> str:
    """`DiskFull` -> `disk_full`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def do(desk: Desk) -> Outcome:
    """The work of the job's kind."""
    kinds: dict[str, Work] = {"validate": _validate, "train": _train, "plan": _plan}
    if desk.job.kind not in kinds:
        raise InvalidInput(f"A job's kind must be one of {', '.join(kinds)}; received {desk.job.kind}.")
    return kinds[desk.job.kind](desk)


def _validate(desk: Desk) -> Outcome:
    if desk.job.dataset is None:
        raise InvalidInput(f"A validate job needs a dataset; {desk.job.id} has none.")
    dataset = desk.stores.datasets.validate(desk.job.dataset, desk.monitor)
    return Outcome(result={"state": dataset.state, "revision": dataset.revision})


def _train(desk: Desk) -> Outcome:
    from graft.training.checkpoint import CHECKPOINTS, sweep
    from graft.training.run import train_job  # TensorFlow: seconds, which the other kinds do without

    jobs, registry, job = desk.stores.jobs, desk.stores.registry, desk.job
    sweep(desk.stores.home / CHECKPOINTS, jobs.is_over)
    before = jobs.reserved(job.id)

    def reserve(model: str) -> int:
        return jobs.reserve(job.id, job.fence, model, above=max(registry.versions(model), default=0))

    trained = train_job(
        job,
        desk.stores,
        precision=desk.settings.precision,
        monitor=desk.monitor,
        reserved=None if before is None else before[1],
        reserve=reserve,
        settle=partial(jobs.settle, job.id, job.fence),
    )
    return Outcome(version=trained.version, metrics=trained.metrics)


def _plan(desk: Desk) -> Outcome:
    from graft.training.run import plan_job  # TensorFlow, as above

    plan = plan_job(desk.job, desk.stores, precision=desk.settings.precision, monitor=desk.monitor)
    return Outcome(result=plan.as_dict())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], do))
