"""The worker program: Celery listens for the doorbell, a supervisor runs the jobs, a reaper looks after both."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from celery import Celery
from celery.worker import state as celery_state
from sqlalchemy.exc import SQLAlchemyError

from graft.database import connect, migrate
from graft.errors import GraftError, InvalidInput
from graft.jobs import QUEUE_OF, Doorbell, Job, Jobs, broker_options
from graft.jobs.doorbell import TaskDoorbell
from graft.settings import Settings
from graft.stores import open_stores
from worker import tasks, transport
from worker.reaper import PATIENCE_SECONDS, Reaper
from worker.supervisor import Supervisor, job_command

logger = logging.getLogger(__name__)


def create_celery(settings: Settings) -> Celery:
    """Celery with our configuration: threads, one job at a time, early acknowledgement, nothing prefetched."""
    options = broker_options(settings.broker_url, settings.home)
    if settings.broker_url is None:
        options["broker_transport"] = f"{transport.__name__}:{transport.Transport.__name__}"
    app = Celery("graft", set_as_current=False)
    app.conf.update(
        options,
        worker_pool="threads",
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=settings.broker_url is not None,
        task_acks_late=False,
    )
    return app


def main(
    settings: Settings,
    queue: str,
    *,
    command: Callable[[Job], Sequence[str]] = job_command,
    patience_seconds: float = PATIENCE_SECONDS,
) -> int:
    """Work off a queue until SIGTERM or SIGINT. Returns the exit status."""
    if queue not in QUEUE_OF.values():
        raise InvalidInput(f"A queue must be one of {', '.join(sorted(set(QUEUE_OF.values())))}; received {queue!r}.")
    _log_plainly(queue)
    engine = connect(settings.sqlalchemy_url)
    migrate(engine)
    jobs = open_stores(settings, engine).jobs
    app = create_celery(settings)
    doorbell = TaskDoorbell(app.send_task)

    def after(job: Job) -> None:
        """A validated dataset lets the trainings run that waited for it."""
        if job.kind == "validate":
            _ring_for_what_waits(jobs, doorbell, QUEUE_OF["train"], job.id)

    supervisor = Supervisor(jobs, queue, heartbeat_seconds=settings.heartbeat_seconds, command=command, on_end=after)
    tasks.register(app, supervisor)
    reaper = Reaper(
        jobs,
        doorbell,
        queue,
        busy=lambda: supervisor.busy,
        tend_broker=_tend(app, settings),
        every_seconds=settings.heartbeat_seconds,
        patience_seconds=patience_seconds,
    )
    app.finalize()
    # Not celery.apps.worker.Worker: that one adds a banner, its own log format, and signal handlers that do not know
    # how to stop a job.
    worker = app.WorkController(
        hostname=f"{queue}-{os.getpid()}@{socket.gethostname()}",
        queues=[queue],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    _stop_on_signals(supervisor, reaper)
    reaper.start()
    _ring_for_what_waits(jobs, doorbell, queue, "a worker that starts")
    worker.start()
    supervisor.stop()
    reaper.stop()
    reaper.join()
    # Until Celery had stopped it took messages, this worker's own among them, and dropped them.
    _ring_for_what_waits(jobs, doorbell, queue, "a worker that has stopped")
    engine.dispose()
    return int(worker.exitcode or 0)


def _ring_for_what_waits(jobs: Jobs, doorbell: Doorbell, queue: str, who: str) -> None:
    try:
        if jobs.waiting(queue, 0):
            doorbell.ring(queue, who)
    except SQLAlchemyError as error:
        logger.warning("The database does not answer, so what waits is left to the reaper: %s", error)


def _tend(app: Celery, settings: Settings) -> Callable[[], None]:
    """What the broker needs now and then: nothing, unless it is our folder."""
    if settings.broker_url is not None:
        return lambda: None
    return lambda: transport.tend(app.conf.broker_transport_options)


def _stop_on_signals(supervisor: Supervisor, reaper: Reaper) -> None:
    """SIGTERM, SIGINT and SIGHUP: claim nothing more, and give the running job back to the queue."""

    def stop(_number: int, _frame: object) -> None:
        supervisor.stop()
        reaper.stop()
        celery_state.should_stop = 0  # the exit status; Celery's loop looks at it

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


def _log_plainly(queue: str) -> None:
    """Our own lines, and Celery's only when something is wrong."""
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname)s {queue} worker: %(message)s")
    for name in ("celery", "kombu", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


if __name__ == "__main__":
    try:
        sys.exit(main(Settings(), *sys.argv[1:2]))
    except GraftError as error:
        sys.exit(str(error))
