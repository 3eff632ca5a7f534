"""The supervisor: claims jobs of one queue, one at a time, and runs each in a process of its own.

It renews the lease while the process runs, stops it when the job is cancelled, when the claim is lost or when the
worker stops, and writes down how a run ended unless the process has already done so.
"""

import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from graft.errors import StaleFence
from graft.jobs import OWNED, Job, Jobs, State
from worker.process import RELEASED, JobProcess

logger = logging.getLogger(__name__)
TICK_SECONDS = 1.0  # how soon a cancel is noticed
GRACE_SECONDS = 8.0  # from SIGTERM to SIGKILL; with Celery's own two seconds a worker stops within 12


def job_command(job: Job) -> Sequence[str]:
    """The job process: a fresh interpreter."""
    return [sys.executable, "-m", "worker.job", job.id, str(job.fence)]


class Supervisor:
    """Works off one queue. `work` runs in one thread at a time; `stop` may be called from a signal handler."""

    def __init__(
        self,
        jobs: Jobs,
        queue: str,
        *,
        heartbeat_seconds: float,
        grace_seconds: float = GRACE_SECONDS,
        command: Callable[[Job], Sequence[str]] = job_command,
        on_end: Callable[[Job], None] = lambda _job: None,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._heartbeat_seconds = heartbeat_seconds
        self._grace_seconds = grace_seconds
        self._command = command
        self._on_end = on_end  # after each run, however it ended
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._wake = threading.Event()
        self._stopping = False
        self.busy = False

    def stop(self) -> None:
        """Claim nothing more, and have the running job save its state and leave."""
        self._stopping = True
        self._wake.set()

    def work(self) -> None:
        """Run the queue's jobs, the best first, until none is left, whichever of them rang."""
        self.busy = True
        try:
            while not self._stopping and (job := self._jobs.claim(self._queue, self._owner)):
                self._run(job)
        except SQLAlchemyError as error:  # the lease runs out and the reaper rings once the database is back
            logger.warning("No job can be claimed or ended, the database does not answer: %s", error)
        finally:
            self.busy = False

    def _run(self, job: Job) -> None:
        logger.info("%s (%s) starts under fence %d", job.id, job.kind, job.fence)
        started = time.monotonic()
        with JobProcess(self._command(job), on_exit=self._wake.set) as process:
            stopped = self._watch(job, process)
        state = self._settle(job, process, stopped)
        logger.info("%s (%s) is %s after %.1f s", job.id, job.kind, state, time.monotonic() - started)
        self._on_end(job)

    def _watch(self, job: Job, process: JobProcess) -> bool:
        """Wait for the process to end, with heartbeats. True: it was asked to stop."""
        next_beat = time.monotonic() + self._heartbeat_seconds
        kill_at = math.inf
        while True:
            self._wake.clear()
            if not process.running:
                return kill_at < math.inf
            now = time.monotonic()
            beat = now >= next_beat
            if beat:
                next_beat = now + self._heartbeat_seconds
            state = self._look(job, beat)
            if kill_at == math.inf and (self._stopping or state != "running"):
                process.signal(signal.SIGTERM)
                kill_at = now + self._grace_seconds
            if state == "stale" or now >= kill_at:
                process.kill()
            self._wake.wait(min(TICK_SECONDS, self._heartbeat_seconds))

    def _look(self, job: Job, beat: bool) -> State | Literal["stale"]:
        """The job's state, `stale` once the claim is lost. `beat`: renew the lease, too."""
        try:
            current = self._jobs.get(job.id)
            if beat and current.state in OWNED:
                current = self._jobs.heartbeat(job.id, job.fence)
            if current.fence == job.fence and current.state != "queued":
                return current.state
            logger.warning("%s was lost to another claim, this run is ended", job.id)
        except StaleFence as error:
            logger.warning("%s", error)
        except SQLAlchemyError as error:
            logger.warning("%s gets no heartbeat, the database does not answer: %s", job.id, error)
            return "running"
        return "stale"

    def _settle(self, job: Job, process: JobProcess, stopped: bool) -> str:
        """Write down the end of a run that did not do so itself. Returns the job's state."""
        try:
            self._jobs.check(job.id, job.fence)
            if stopped or process.status == RELEASED:
                after = self._jobs.release(job.id, job.fence)
            else:
                after = self._jobs.lost(job.id, job.fence, code="job_process_died", message=process.last_words())
                logger.warning("%s was lost. %s", job.id, process.last_words())
        except StaleFence:
            return self._jobs.get(job.id).state
        return after.state
