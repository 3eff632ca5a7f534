"""A job process whose work is to count: `python -m tests.worker.counting_job JOB FENCE`.

The recipe says what happens: `steps` to count to, of `step_seconds` each; at step `at`, once, do what `then` says.
State is one file, `counts/JOB`, so that a second claim goes on where the first one stopped; "published" versions are
files `published/JOB-VERSION`.
"""

import os
import signal
import sys
import time
from typing import Any

from graft.errors import DiskFull, Interrupted, InvalidInput
from graft.types import Progress
from worker.job import AUTOGROUP, Desk, Outcome, main


def count(desk: Desk) -> Outcome:
    recipe: dict[str, Any] = desk.job.recipe or {}
    state = desk.stores.home / "counts" / desk.job.id
    state.parent.mkdir(parents=True, exist_ok=True)
    first = int(state.read_text()) + 1 if state.exists() else 1
    steps = recipe["steps"]
    group = AUTOGROUP.read_text() if AUTOGROUP.exists() else None
    desk.monitor.event("counting", {"from": first, "pid": os.getpid(), "nice": os.nice(0), "group": group})
    for step in range(first, steps + 1):
        if desk.monitor.stop_requested() and not recipe.get("deaf"):
            raise Interrupted(f"Stopped after step {step - 1}.")
        time.sleep(recipe.get("step_seconds", 0))
        if step == recipe.get("at"):
            if recipe["then"] == "full":  # once: the next claim goes on after this step
                state.write_text(str(step))
            misbehave(recipe["then"])
        desk.monitor.guard()
        aside = state.with_suffix(f".{desk.job.fence}")
        aside.write_text(str(step))
        aside.rename(state)  # a kill in between leaves the state before
        desk.monitor.report(Progress("training", step=step, steps=steps))
    if desk.job.model is None:
        return Outcome(result={"counted": steps})
    version = desk.stores.jobs.reserve(desk.job.id, desk.job.fence, desk.job.model)
    published = desk.stores.home / "published"
    published.mkdir(exist_ok=True)
    (published / f"{desk.job.id}-{version}").touch()
    return Outcome(version=version, metrics={"counted": steps})


def misbehave(how: str) -> None:
    if how == "raise":
        raise RuntimeError("the ninth part of a bug")
    if how == "refuse":
        raise InvalidInput("A count must be finite; received infinity.")
    if how == "full":
        raise DiskFull("The counter needs room. Free some.")
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], count))
