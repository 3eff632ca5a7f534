"""The reaper: one thread in each worker that puts right what a dead worker or a forgetful broker left behind."""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from graft.jobs import Doorbell, Jobs

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 60.0


class Reaper(threading.Thread):
    """Requeues expired leases, and rings once for a queue whose jobs have waited too long while this worker is free."""

    def __init__(
        self,
        jobs: Jobs,
        doorbell: Doorbell,
        queue: str,
        *,
        busy: Callable[[], bool],
        tend_broker: Callable[[], None],
        every_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        super().__init__(name="reaper", daemon=True)
        self._jobs = jobs
        self._doorbell = doorbell
        self._queue = queue
        self._busy = busy
        self._tend_broker = tend_broker
        self._every_seconds = every_seconds
        self._patience_seconds = patience_seconds
        self._stopping = threading.Event()
        self._silent_until = 0.0

    def run(self) -> None:
        while True:
            try:
                self.look()
            except SQLAlchemyError as error:
                logger.warning("The database does not answer; the reaper looks again: %s", error)
            except Exception:
                logger.exception("The reaper will look again in %g s", self._every_seconds)
            if self._stopping.wait(self._every_seconds):
                return

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        """One round."""
        for job in self._jobs.requeue_expired():
            logger.warning("%s was lost with its worker and is %s", job.id, job.state)
            if job.state == "queued":
                self._doorbell.ring(job.queue, job.id)
        now = time.monotonic()
        if now >= self._silent_until and not self._busy() and self._jobs.waiting(self._queue, self._patience_seconds):
            self._silent_until = now + self._patience_seconds
            self._doorbell.ring(self._queue, "the reaper")
        self._tend_broker()
