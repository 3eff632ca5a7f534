"""The application's side of the doorbell: one Celery message for each job that enters a queue."""

from typing import Any

from celery import Celery

from graft.jobs.doorbell import TaskDoorbell


class CeleryDoorbell(TaskDoorbell):
    """Over the broker of `options` (graft.jobs.broker_options). Connects when first rung."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._app = Celery("graft", set_as_current=False)
        self._app.conf.update(options)
        super().__init__(self._app.send_task)

    def close(self) -> None:
        self._app.close()
