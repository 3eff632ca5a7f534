"""The one Celery task, and its sender. A message carries no work: whoever gets it claims the best job of the queue."""

import logging

from celery import Celery

from graft.jobs.doorbell import RING, ring_options
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
            self._app.send_task(RING, **ring_options(queue, job_id))
        except Exception as error:  # kombu lets each transport's own errors through
            logger.warning("The broker does not answer, so %s waits for the reaper: %s", job_id, error)
