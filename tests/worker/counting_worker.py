"""A real worker whose job processes count: `python -m tests.worker.counting_worker QUEUE PATIENCE`."""

import sys
from collections.abc import Sequence

from graft.jobs import Job
from graft.settings import Settings
from worker.celery_app import main


def command(job: Job) -> Sequence[str]:
    return [sys.executable, "-m", "tests.worker.counting_job", job.id, str(job.fence)]


if __name__ == "__main__":
    sys.exit(main(Settings(), sys.argv[1], command=command, patience_seconds=float(sys.argv[2])))
