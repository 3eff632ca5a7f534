"""Checkpoints: one safetensors file each, written aside and renamed, in a folder for each claim of the job.

A process that lost its claim writes into the folder of its own fence and can spoil nobody's.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from graft.disk import room_for, sync, write_whole
from graft.training.recipe import Monitored

CHECKPOINTS = "checkpoints"  # the folder under GRAFT_HOME, with one for each job
FORMAT = "2"  # raise it with any change of what a checkpoint holds: other numbers are no checkpoint
Arrays = dict[str, npt.NDArray[Any]]
History = dict[str, list[float]]


@dataclass
class RunState:
    """A training run between two steps: the numbers. Epoch and step, from 0, are the next ones to run."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0  # of the epoch so far
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0  # spent on the job, plan and features included, up to here
    history: History = field(default_factory=lambda: {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []})

    def best_epoch(self, monitored: Monitored) -> int | None:
        """From 0, the earliest of equal ones. None before the first validation."""
        values = self.history[monitored]
        best = min if monitored == "val_loss" else max
        return values.index(best(values)) if values else None

    def epochs_since_best(self, monitored: Monitored) -> int:
        """What early stopping counts."""
        best = self.best_epoch(monitored)
        return 0 if best is None else self.epoch - 1 - best


@dataclass(frozen=True)
class Checkpoint:
    """A run's numbers, what its next step depends on (`TrainableGraft.state`), and the best weights so far."""

    run: RunState
    state: Arrays
    best: Arrays


class Checkpoints:
    """The checkpoints of one job under `folder`, written as claim number `fence`."""

    def __init__(self, folder: Path, fence: int) -> None:
        self._folder = folder
        self._own = folder / f"{fence:06d}"

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep this one, drop older ones, earlier claims' too. The caller has checked its fence. Raises DiskFull."""
        run = checkpoint.run
        path = self._own / f"{run.epoch:06d}-{run.step:06d}.safetensors"
        tensors = {f"state/{name}": array for name, array in checkpoint.state.items()}
        tensors |= {f"best/{name}": array for name, array in checkpoint.best.items()}
        data = save(tensors, metadata={"format": FORMAT, "run": json.dumps(asdict(run))})
        with room_for("A checkpoint"):
            write_whole(path, data)
            sync(self._own)  # before the older ones go
        for older in self._folder.glob("*/*.safetensors"):
            if older != path and older.parent.name <= path.parent.name:
                older.unlink(missing_ok=True)

    def latest(self) -> Checkpoint | None:
        """The furthest readable checkpoint of any claim; a damaged one, or another release's, is passed over."""
        files = sorted(self._folder.glob("*/*.safetensors"), key=lambda p: (p.stem, p.parent.name), reverse=True)
        for path in files:
            try:
                return _read(path)
            except (SafetensorError, OSError, ValueError):
                continue
        return None

    def clear(self) -> None:
        """Remove every checkpoint of the job: it has published."""
        shutil.rmtree(self._folder, ignore_errors=True)


def sweep(root: Path, is_over: Callable[[str], bool]) -> None:
    """Remove the checkpoints of jobs that have ended without publishing. root: the folder with one for each job."""
    for folder in root.iterdir() if root.is_dir() else ():
        if is_over(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _read(path: Path) -> Checkpoint:
    parts: dict[str, Arrays] = {"state": {}, "best": {}}
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise ValueError(f"a checkpoint has format {FORMAT}; received {metadata.get('format')}.")
        run = RunState(**json.loads(metadata["run"]))
        keys = file.keys()
        for key in keys:
            part, name = key.split("/", 1)
            parts[part][name] = file.get_tensor(key)
    return Checkpoint(run, parts["state"], parts["best"])
