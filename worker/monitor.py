"""A job's line to the job table, as its process holds it."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.exc import OperationalError

from graft.jobs import Jobs
from graft.types import Progress

logger = logging.getLogger(__name__)
REPORT_SECONDS = 1.0  # at most one report in that time, but for ends of phases and epochs


class JobMonitor:
    """graft.types.Monitor over Jobs, for one claim."""

    def __init__(self, jobs: Jobs, job_id: str, fence: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._fence = fence
        self._clock = clock
        self._stop = False
        self._phase: str | None = None
        self._silent_until = 0.0

    def stop(self) -> None:
        """Have the work save its state and leave. A signal handler calls this."""
        self._stop = True

    def report(self, progress: Progress) -> None:
        last_step = progress.step is not None and progress.step == progress.steps
        if not last_step and progress.phase == self._phase and self._clock() < self._silent_until:
            return
        self._phase = progress.phase
        self._silent_until = self._clock() + REPORT_SECONDS
        try:
            self._jobs.progress(self._job_id, self._fence, progress.as_dict())
        except OperationalError as error:  # the next report says the same and more
            logger.warning("A report was dropped, the database does not answer: %s", error)

    def event(self, type: str, data: Mapping[str, Any]) -> None:
        self._jobs.event(self._job_id, self._fence, type, data)

    def guard(self) -> None:
        self._jobs.check(self._job_id, self._fence)

    def stop_requested(self) -> bool:
        return self._stop
