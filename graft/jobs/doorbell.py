"""The doorbell: a message that says a queue has work. Losing one only costs a delay, the reaper rings again."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

logger = logging.getLogger(__name__)
RING = "graft.ring"  # the Celery task that both sides mean; it has one keyword argument, job_id, for the log


class Doorbell(Protocol):
    """Wakes a worker of a queue. TaskDoorbell is the real one, on both sides; tests keep lists."""

    def ring(self, queue: str, job_id: str) -> None:
        """Say that `queue` has work. Never raises for a broker that is down: it logs, and the reaper rings later."""


class TaskDoorbell:
    """Rings with one task message. `send`: a Celery application's `send_task`; this library knows no Celery."""

    def __init__(self, send: Callable[..., object]) -> None:
        self._send = send

    def ring(self, queue: str, job_id: str) -> None:
        try:
            # declare=[]: the message goes straight into the queue, so neither side keeps a table of bindings.
            # One retry, as an idle connection may have died meanwhile.
            self._send(RING, kwargs={"job_id": job_id}, queue=queue, declare=[], retry_policy={"max_retries": 1})
        except Exception as error:  # kombu lets each transport's own errors through
            logger.warning("The broker does not answer, so %s waits for a worker to look by itself: %s", job_id, error)


def broker_options(broker_url: str | None, home: Path) -> dict[str, Any]:
    """Celery's configuration, as plain data, for whoever sends or receives. Without an address: files under `home`.

    The folders for the files are made here, as neither side can do without them.
    """
    options: dict[str, Any] = {
        "broker_url": broker_url or "filesystem://localhost",
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
    }
    if broker_url:
        # A sender gives a dead broker two quick tries; kombu would go on for ever.
        once_more = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
        # A broker that hangs must hold up nobody either; a worker's own wait for messages takes one second at a time.
        timeouts = {"socket_connect_timeout": 2.0, "socket_timeout": 4.0}
        return options | {"broker_transport_options": once_more | timeouts}
    folders = {name: home.absolute() / "broker" / name for name in ("data", "processed", "control")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    transport = {
        "data_folder_in": str(folders["data"]),
        "data_folder_out": str(folders["data"]),
        "processed_folder": str(folders["processed"]),
        "control_folder": str(folders["control"]),
        "store_processed": True,
        "polling_interval": 0.2,
    }
    return options | {"broker_transport_options": transport}
