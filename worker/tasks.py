"""The one Celery task. A message carries no work: whoever gets it claims the best job of the queue."""

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
