"""Real workers as child processes, with jobs that count, over one database and one broker."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import redis

from graft.database import connect, migrate
from graft.jobs import Event, Job, Jobs
from graft.jobs.doorbell import TaskDoorbell
from graft.settings import Settings
from worker.celery_app import create_celery

T = TypeVar("T")
PATIENCE = 60.0  # nothing waits so long unless it is broken
ROOT = Path(__file__).parents[2]
UNFINISHED = ("queued", "running", "cancelling")
ENDLESS = {"steps": 1_000_000, "step_seconds": 0.01}


def until(condition: Callable[[], T]) -> T:
    """Look again and again until the condition holds; returns what it then is."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {PATIENCE} s in vain"
        time.sleep(0.02)
    return value


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def processes_of(job_id: str) -> list[int]:
    """The processes with the job's id in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if job_id.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


class Workshop:
    """home: its GRAFT_HOME; broker_url None: files under it. A lease lasts two seconds here."""

    def __init__(self, home: Path, database_url: str, broker_url: str | None) -> None:
        home.mkdir()
        self.home = home
        self.broker_url = broker_url
        self.settings = Settings(home=home, database_url=database_url, broker_url=broker_url)
        self.engine = connect(database_url)
        migrate(self.engine)
        self.jobs = Jobs(self.engine)
        self.app = create_celery(self.settings)
        self.doorbell = TaskDoorbell(self.app.send_task)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            "GRAFT_HOME": str(home),
            "GRAFT_DATABASE_URL": database_url,
            "GRAFT_BROKER_URL": broker_url or "",
            "GRAFT_LEASE_SECONDS": "2",
            "GRAFT_HEARTBEAT_SECONDS": "0.5",
        }

    def start_worker(self, *, patience_seconds: float = 3600.0) -> subprocess.Popen[bytes]:
        with (self.home / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.worker.counting_worker", "training", str(patience_seconds)],
                env=self.environment,
                cwd=ROOT,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    def start_job_process(self, job: Job) -> subprocess.Popen[bytes]:
        """The job process alone, without a supervisor."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.worker.counting_job", job.id, str(job.fence)],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def create(self, recipe: Mapping[str, Any], *, model: str | None = None, ring: bool = True) -> Job:
        job = self.jobs.create("train", model=model, recipe=dict(recipe))
        if ring:
            self.doorbell.ring("training", job.id)
        return job

    def counted(self, job: Job) -> int:
        """How far the job's saved state is."""
        file = self.home / "counts" / job.id
        return int(file.read_text()) if file.exists() else 0

    def wait_for(self, job: Job, state: str) -> Job:
        def arrived() -> Job | None:
            now = self.jobs.get(job.id)
            assert now.state in (state, *UNFINISHED), f"{now.state}: {now.error_message}"
            return now if now.state == state else None

        now = until(arrived)
        assert now is not None
        return now

    def runs(self, job: Job) -> list[Event]:
        """One event for each job process that got to work; data: from, pid, nice, group (autogroup)."""
        events, _ = self.jobs.events(job.id, limit=1000)
        return [event for event in events if event.type == "counting"]

    def published(self, job: Job) -> list[str]:
        return sorted(file.name for file in (self.home / "published").glob(f"{job.id}-*"))

    def messages(self) -> int:
        """How many messages wait in the broker."""
        if self.broker_url is None:
            return len(list((self.home / "broker" / "data").iterdir()))
        with redis.Redis.from_url(self.broker_url) as client:
            return int(client.llen("training"))

    def delete_messages(self) -> None:
        if self.broker_url is None:
            for file in (self.home / "broker" / "data").iterdir():
                file.unlink()
            return
        with redis.Redis.from_url(self.broker_url) as client:
            client.delete("training")

    def log(self) -> str:
        return (self.home / "worker.log").read_text()

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.delete_messages()
        self.app.close()
        self.engine.dispose()
