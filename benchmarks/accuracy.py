"""What trainings of the same recipe come to: Graft's jobs against plain Keras, on the sign-language digits.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.accuracy [--precision float32] [--epochs 3] [--seeds 0 1 2]

The textbook's two projects (see `head_only` and `block5`), for so many epochs of every picture, from the same seeds,
which both draw from in ways of their own. Both keep the last epoch's weights. Printed after each training: the share of
the 50 test pictures, and of those and the 300 validation pictures together, that are right. Wanted: the median of the
seeds at least plain Keras'. Three epochs of plain Keras take about 8 minutes at bfloat16 on two cores, 16 at float32.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import block5, head_only
from benchmarks.machine import Neighbours, describe
from benchmarks.plain_keras import Order, Project
from benchmarks.trainings import PICTURES, WHOLE, Home, home_with_digits, plain_accuracies
from graft.types import Precision

BATCHES: dict[Project, int] = {"feature-extraction": head_only.BATCH, "fine-tuning": block5.BATCH}


@dataclass(frozen=True)
class Accuracy:
    """Shares of the pictures that are right."""

    valid: float
    test: float

    @property
    def together(self) -> float:
        valid, test = PICTURES["valid"], PICTURES["test"]
        return (self.valid * valid + self.test * test) / (valid + test)

    def __str__(self) -> str:
        return f"test {self.test:.3f}, validation and test {self.together:.4f}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--projects", choices=list(BATCHES), nargs="+", default=list(BATCHES))
    arguments.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = arguments.parse_args()
    print(f"{describe()}\n{asked.precision}, {asked.epochs} epochs of every picture", flush=True)
    neighbours = Neighbours()
    with tempfile.TemporaryDirectory() as folder, home_with_digits(Path(folder)) as home:
        for project in asked.projects:
            compare(home, project, asked.precision, asked.epochs, asked.seeds)
    print(neighbours)


def compare(home: Home, project: Project, precision: Precision, epochs: int, seeds: Sequence[int]) -> None:
    theirs, ours = [], []
    for seed in seeds:
        theirs.append(plain(project, precision, epochs, seed))
        print(f"{project}, seed {seed}, plain Keras: {theirs[-1]}", flush=True)
        ours.append(graft(home, project, precision, epochs, seed))
        print(f"{project}, seed {seed}, Graft: {ours[-1]}", flush=True)
    for what in ("test", "together"):
        found, wanted = (statistics.median(getattr(each, what) for each in side) for side in (ours, theirs))
        split = "the test pictures" if what == "test" else "validation and test together"
        met = "met" if found >= wanted else "NOT MET"
        print(f"{project}, {split}: median {found:.4f}; wanted plain Keras' {wanted:.4f}: {met}", flush=True)


def plain(project: Project, precision: Precision, epochs: int, seed: int) -> Accuracy:
    found = plain_accuracies(Order(project, precision, BATCHES[project], seed=seed, epochs=epochs))
    return Accuracy(found["valid"], found["test"])


def graft(home: Home, project: Project, precision: Precision, epochs: int, seed: int) -> Accuracy:
    asked = {"preset": project, "batch_size": BATCHES[project], "precision": precision, "seed": seed, "keep": "last"}
    metrics = home.train("digits", {**asked, **WHOLE, "epochs": epochs}).metrics
    return Accuracy(metrics["validation"]["accuracy"], metrics["test"]["accuracy"])


if __name__ == "__main__":
    main()
