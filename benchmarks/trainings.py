"""Trainings on the sign-language digits, each in a process of its own: Graft's job process, and plain Keras."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.grafts import opened
from benchmarks.machine import assets
from benchmarks.plain_keras import Order
from graft.stores import Stores
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.vgg16.sources import TRUNK_FILE
from tests.e2e.service import outside
from tests.graft.datasets.filling import create
from tests.monitors import Recorder

NICE = ("nice", "-n", "10")  # for what is held against a job process, which does that to itself
EPOCHS = 20
CLASSES = 10
PICTURES = {"train": 1712, "valid": 300, "test": 50}  # of the digits; no two are equal
WHOLE = {"epochs": EPOCHS, "steps_per_epoch": None, "validation_steps": None}  # every picture in every epoch


@dataclass(frozen=True)
class Clocks:
    """Seconds. wall: by the clock; processor: of all threads, which others on the machine lengthen less."""

    wall: float
    processor: float

    def __add__(self, other: "Clocks") -> "Clocks":
        return Clocks(self.wall + other.wall, self.processor + other.processor)

    def __sub__(self, other: "Clocks") -> "Clocks":
        return self + other * -1

    def __mul__(self, times: float) -> "Clocks":
        return Clocks(self.wall * times, self.processor * times)

    def __truediv__(self, other: "Clocks") -> "Clocks":
        """The ratio of each clock."""
        return Clocks(self.wall / other.wall, self.processor / other.processor)


def median(clocks: Sequence[Clocks]) -> Clocks:
    """Of each clock."""
    return Clocks(statistics.median(c.wall for c in clocks), statistics.median(c.processor for c in clocks))


def claim(
    what: str, found: Sequence[Clocks], *, least: float | None = None, most: float | None = None, unit: str = ""
) -> str:
    """A line of a report: the median of the rounds by the clock, their spread, and whether it is what is wanted."""
    walls, middle = [each.wall for each in found], median(found)
    spread = f", {min(walls):.2f} to {max(walls):.2f}" if len(walls) > 1 else ""
    line = f"{what}: {middle.wall:.2f}{unit}{spread} ({middle.processor:.2f}{unit} by processor time)"
    if least is None and most is None:
        return f"{line}; stated"
    met = middle.wall >= least if least is not None else middle.wall <= (most or 0)
    wanted = f"at least {least:g}" if least is not None else f"at most {most:g}"
    return f"{line}; wanted {wanted}{unit}: {'met' if met else 'NOT MET'}"


@dataclass(frozen=True)
class Training:
    """One job. start_up: seconds before its process is up, and after the work. stamps: see benchmarks.timed_job."""

    start_up: float
    stamps: list[dict[str, Any]]
    metrics: Mapping[str, Any]

    @property
    def work(self) -> Clocks:
        return _clocks(self.stamps[-1])

    @property
    def epochs(self) -> list[Clocks]:
        """Of each epoch from the second one on: the first one also compiles. With validation and checkpoint."""
        ends = [_clocks(stamp) for stamp in self.stamps if stamp["type"] == "epoch"]
        return [later - earlier for earlier, later in pairwise(ends)]

    def step(self, batch_size: int) -> Clocks:
        """Of a picture in the steps of an epoch from the second one on, with whatever a step waits for."""
        steps = [_clocks(stamp) for stamp in self.stamps if stamp["type"] == "step"]
        found = [last - first for first, last in zip(steps[::2], steps[1::2], strict=True)]
        return median(found[1:]) * (1 / (PICTURES["train"] - batch_size))

    def to(self, epochs: int, each: Clocks) -> Clocks:
        """The work, had there been so many epochs; each: what those take that there were not."""
        done: int = sum(stamp["type"] == "epoch" for stamp in self.stamps)
        return self.work + each * (epochs - done)

    def __str__(self) -> str:
        marks = []
        for kind, stamps in groupby((s for s in self.stamps if s["type"] != "step"), lambda stamp: stamp["type"]):
            marks.append(f"{kind} {', '.join(format(stamp['wall'], '.1f') for stamp in stamps)}")
        return (
            f"{self.work.wall:.1f} s of work ({self.work.processor:.0f} of the processor) after {self.start_up:.1f} s "
            f"of start-up; test accuracy {self.metrics['test']['accuracy']:.2f}; at {'; '.join(marks)}"
        )


def _clocks(stamp: Mapping[str, Any]) -> Clocks:
    return Clocks(stamp["wall"], stamp["processor"])


@dataclass(frozen=True)
class Home:
    """A home with the digits in it, validated."""

    folder: Path
    stores: Stores
    dataset: str
    revision: str

    def train(self, model: str, recipe: Mapping[str, Any]) -> Training:
        """The job that a worker would run, in a fresh process. Raises RuntimeError where it does not succeed."""
        stored = RecipeRequest.parse(recipe).stored()
        self.stores.jobs.create("train", model=model, dataset=self.dataset, revision=self.revision, recipe=stored)
        job = self.stores.jobs.claim("training", "benchmark")
        if job is None:
            raise RuntimeError("a queued job must be there to be claimed; there is none.")
        mine = {"GRAFT_HOME": str(self.folder), "GRAFT_WEIGHTS_DIR": str(assets() / "weights")}
        began = time.monotonic()
        line = _child([sys.executable, "-m", "benchmarks.timed_job", job.id, str(job.fence)], mine)
        seconds = time.monotonic() - began
        ended = self.stores.jobs.get(job.id)
        if ended.state != "succeeded" or ended.metrics is None:
            raise RuntimeError(f"the job must succeed; it is {ended.state}: {ended.error_message}")
        stamps = json.loads(line)
        return Training(seconds - stamps[-1]["wall"], stamps, ended.metrics)


@contextmanager
def home_with_digits(folder: Path) -> Iterator[Home]:
    digits = assets() / "sign-language-digits"
    files = {str(p.relative_to(digits)): p.read_bytes() for p in sorted(digits.glob("*/*/*"))}
    with opened(folder, assets() / "weights") as stores:
        created = create(stores.datasets, files, name="digits")
        ready = stores.datasets.validate(created.id, Recorder())
        counts = {split: len(list((digits / split).glob("*/*"))) for split in PICTURES}
        if ready.revision is None or counts != PICTURES:
            sys.exit(f"{digits} must hold {PICTURES} pictures that can be read; it has {counts}: {ready.problems[:3]}")
        yield Home(folder, stores, ready.id, ready.revision)


@dataclass(frozen=True)
class Plain:
    """Plain Keras: seconds a picture of training and of validation."""

    train: Clocks
    valid: Clocks

    @property
    def epoch(self) -> Clocks:
        return self.train * PICTURES["train"] + self.valid * PICTURES["valid"]

    def __str__(self) -> str:
        train, valid = (f"{c.wall * 1e3:.1f} ({c.processor * 1e3:.0f})" for c in (self.train, self.valid))
        return (
            f"{train} ms a picture to train (of processor time), {valid} to validate; an epoch {self.epoch.wall:.0f} s"
        )


Measured = TypeVar("Measured", Training, Plain)


def said(what: str, found: Measured) -> Measured:
    """As it is, once it is printed."""
    print(f"{what}: {found}", flush=True)
    return found


def plain(order: Order) -> Plain:
    """Timed steps of the textbook's code."""
    found = json.loads(_plain(order))
    return Plain(Clocks(*found["train"]), Clocks(*found["valid"]))


def plain_accuracies(order: Order) -> dict[str, float]:
    """After a whole training; also `seconds`."""
    found: dict[str, float] = json.loads(_plain(order))
    return found


def _plain(order: Order) -> str:
    weights, pictures = assets() / "weights" / TRUNK_FILE, assets() / "sign-language-digits"
    return _child(
        [*NICE, sys.executable, "-m", "benchmarks.plain_keras", str(weights), str(pictures), json.dumps(asdict(order))],
        {},
    )


def steps_alone(recipe: Recipe) -> Clocks:
    """Of one picture, in the steps of such a training on features that lie in memory."""
    command = [*NICE, sys.executable, "-m", "benchmarks.steps_alone", recipe.model_dump_json(), str(CLASSES)]
    return Clocks(*json.loads(_child(command, {})))


def _child(command: Sequence[str], settings: Mapping[str, str]) -> str:
    """The last line that it prints. Its input stays open meanwhile, as a job process ends with it.

    Raises RuntimeError, with the end of what it said, where it fails.
    """
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            command,
            env={**outside(), **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # at the end of its input, a job process ends all of its session
        ) as process:
            try:
                lines = process.stdout.read().splitlines() if process.stdout is not None else []
            except BaseException:
                process.kill()
                raise
        if process.returncode or not lines:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.read()[-3000:]}")
    return lines[-1]
