"""A plan as people read it: the candidates, what was chosen of them, and why."""

import json
from collections.abc import Mapping
from typing import Any

from graft.cli.terminal import duration, line, show_table
from graft.client import Job

COLUMNS = ("CUT", "FROZEN", "PROBE", "EPOCHS", "TIME", "CHOICE")


def show_plan(job: Job) -> None:
    """Of a job that has succeeded."""
    plan = job.result or {}
    show_table(COLUMNS, [_row(candidate, plan.get("cut")) for candidate in plan.get("candidates", ())])
    for reason in plan.get("reasons", ()):
        line(reason)
    line(f"Recipe: {fields(plan.get('recipe'))}")


def fields(recipe: Mapping[str, Any] | None) -> str:
    """A recipe in one line, without what it leaves out."""
    return ", ".join(f"{field} {_plain(value)}" for field, value in (recipe or {}).items() if value is not None)


def _plain(value: object) -> str:
    """As --set takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _row(candidate: Mapping[str, Any], chosen: str | None) -> tuple[str, ...]:
    cut, accuracy, error = (candidate.get(name) for name in ("cut", "probe_accuracy", "probe_error"))
    probe = "" if accuracy is None else f"{accuracy:.3f}" if error is None else f"{accuracy:.3f} ± {error:.3f}"
    choice = "chosen" if cut == chosen else "" if candidate.get("fits", True) else "too long"
    frozen, epochs = (str(candidate.get(name, "")) for name in ("frozen_convolutions", "epochs"))
    return str(cut), frozen, probe, epochs, duration(candidate.get("seconds") or 0.0), choice
