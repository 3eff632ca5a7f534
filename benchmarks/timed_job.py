"""The job process with a stopwatch: `python -m benchmarks.timed_job JOB FENCE`, as the worker starts `worker.job`.

The watch starts when TensorFlow and the training are imported. Each event of the job is stamped, and so are the first
and the last `step` of each epoch and the `end` of the work. They are printed as one line of JSON, a list of objects
with `type`, `data`, `wall` and `processor`: seconds since the start by the clock, and of all of the process's threads.
"""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from graft.types import Progress
from worker.job import Desk, Outcome, do, main
from worker.monitor import JobMonitor


class Stopwatch:
    """A job's monitor that takes times."""

    def __init__(self, monitor: JobMonitor) -> None:
        self._monitor = monitor
        self._began = time.perf_counter(), time.process_time()
        self.stamps: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._monitor, name)

    def event(self, type: str, data: Mapping[str, Any]) -> None:
        self._monitor.event(type, data)
        self.stamp(type, data)

    def report(self, progress: Progress) -> None:
        self._monitor.report(progress)
        if progress.phase == "training" and progress.step in (1, progress.steps):
            self.stamp("step", progress.as_dict())

    def stamp(self, type: str, data: Mapping[str, Any]) -> None:
        wall, processor = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        self.stamps.append({"type": type, "data": dict(data), "wall": wall, "processor": processor})


def work(desk: Desk) -> Outcome:
    import graft.training.run  # noqa: F401 - the process is up once it has this

    watch = Stopwatch(desk.monitor)
    outcome = do(replace(desk, monitor=cast(JobMonitor, watch)))
    watch.stamp("end", outcome.metrics or {})
    print(json.dumps(watch.stamps), flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], work))
