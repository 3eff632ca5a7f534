"""What the machine can do by itself: one compiled forward of trunk and head, and a bare decode, in its own process.

The forward has every weight as a constant; nothing is queued, decoded, shared or sent. The process works only while it
is asked to: it waits on a pipe in between.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from benchmarks.machine import usage
from graft.types import Precision
from tests.e2e.service import outside

BATCHES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Cost:
    """Of one picture, in seconds. wall: by the clock, the median of the runs; processor: of all threads, the mean."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Figures:
    """forwards: by batch size. decode: Pillow alone, from bytes to 224x224 pixels, on one core."""

    forwards: dict[int, Cost]
    decode: Cost

    @property
    def best(self) -> int:
        """The batch size that answers most pictures a second."""
        return min(self.forwards, key=lambda batch: self.forwards[batch].wall)

    @property
    def processor(self) -> float:
        """Seconds that a picture needs at least: decoded, and run in the best batch."""
        return self.forwards[self.best].processor + self.decode.processor

    def as_json(self) -> str:
        return json.dumps({"forwards": {b: asdict(c) for b, c in self.forwards.items()}, "decode": asdict(self.decode)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        read = json.loads(text)
        return cls({int(b): Cost(**cost) for b, cost in read["forwards"].items()}, Cost(**read["decode"]))


def median(figures: Sequence[Figures]) -> Figures:
    """The median of each figure."""

    def middle(costs: Sequence[Cost]) -> Cost:
        return Cost(statistics.median(c.wall for c in costs), statistics.median(c.processor for c in costs))

    return Figures({b: middle([f.forwards[b] for f in figures]) for b in BATCHES}, middle([f.decode for f in figures]))


class Raw:
    """The process. version: the folder of a published version, whose head is used; weights: the trunk's folder."""

    def __init__(self, version: Path, weights: Path, precision: Precision) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.raw_forward", str(version), str(weights), precision],
            env=outside(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.native: list[str] = json.loads(self._line())  # the precisions that the hardware has
        self.pid = self._process.pid

    def measure(self, seconds: float) -> Figures:
        """Every batch size for so many seconds at least, and the decoding."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        return Figures.from_json(self._line())

    def processor(self) -> float:
        """Seconds that it has used so far."""
        return usage(self.pid).processor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # the end of its input is its end

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the raw forward must answer each line; it ended with {self._process.wait()}.")
        return line
