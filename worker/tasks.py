"""The one Celery task, and its sender. A message carries no work: whoever gets it claims the best job of the queue."""

import logging

from celery import Celery

from graft.jobs.doorbell import RING
from worker.supervisor import Supervisor

logger = logging.getLogger(__name__)


def register(app: Celery, supervisor: Supervisor) -> None:
    """Have the app answer the doorbell."""

    def ring(job_id: str) -> None:
        logger.debug("%s rang", job_id)
        supervisor.work()

    app.task(name=RING)(ring)


class CeleryDoorbell:
    """Rings with a Celery message."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, queue: str, job_id: str) -> None:
        try:
            # declare=[]: the message goes straight into the queue, so neither side keeps a table of bindings.
            # One retry, as an idle connection may have died meanwhile.
            self._app.send_task(
                RING, kwargs={"job_id": job_id}, queue=queue, declare=[], retry_policy={"max_retries": 1}
            )
        except Exception as error:  # kombu lets each transport's own errors through
            logger.warning("The broker does not answer, so %s waits for the reaper: %s", job_id, error)
