"""The application's side of the doorbell: one Celery message for each job that enters a queue."""

import logging
from typing import Any

from celery import Celery

from graft.jobs.doorbell import RING, ring_options

logger = logging.getLogger(__name__)


class CeleryDoorbell:
    """graft.jobs.Doorbell over the broker of `options` (graft.jobs.broker_options). Connects when first rung."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._app = Celery("graft", set_as_current=False)
        self._app.conf.update(options)

    def ring(self, queue: str, job_id: str) -> None:
        try:
            self._app.send_task(RING, **ring_options(queue, job_id))
        except Exception as error:  # kombu lets each transport's own errors through
            logger.warning("The broker does not answer, so %s waits for a worker to look by itself: %s", job_id, error)

    def close(self) -> None:
        self._app.close()
