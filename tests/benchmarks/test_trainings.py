import subprocess
import sys

import pytest

from benchmarks.machine import own_work
from benchmarks.trainings import PICTURES, Clocks, Training, claim

BATCH, EPOCH, TRAINING = 32, 40.0, 30.0  # pictures; seconds of an epoch, and of its steps after the first


def training(epochs: int) -> Training:
    """100 seconds of features and compiling, epochs of which half the time is another's, 5 seconds at the end."""
    stamps = []
    for epoch in range(epochs):
        ends = 100 + EPOCH * (epoch + 1)
        steps = [("step", ends - TRAINING - 2), ("step", ends - 2), ("epoch", ends)]
        stamps += [{"type": kind, "data": {}, "wall": 2 * at, "processor": at} for kind, at in steps]
    end = 100 + EPOCH * epochs + 5
    return Training(8.0, [*stamps, {"type": "end", "data": {}, "wall": 2 * end, "processor": end}], {})


def test_epochs_that_were_not_run_are_counted_as_those_after_the_first() -> None:
    epoch = Clocks(2 * EPOCH, EPOCH)
    assert training(3).epochs == [epoch] * 2
    assert training(3).to(20, epoch) == training(20).to(20, epoch) == Clocks(1810, 905)


def test_a_step_is_what_lies_between_the_first_and_the_last_of_an_epoch() -> None:
    step = training(2).step(BATCH) * (PICTURES["train"] - BATCH)
    assert step.processor == pytest.approx(TRAINING)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"least": 2}, "wanted at least 2 x: met"),
        ({"least": 3.1}, "wanted at least 3.1 x: NOT MET"),
        ({"most": 3}, "wanted at most 3 x: met"),
        ({"most": 2}, "wanted at most 2 x: NOT MET"),
        ({}, "stated"),
    ],
)
def test_a_claim_is_judged_by_the_median_of_the_clock(wanted: dict[str, float], says: str) -> None:
    found = [Clocks(wall, 1) for wall in (1.0, 3.0, 9.0)]
    assert (
        claim("faster", found, unit=" x", **wanted)
        == f"faster: 3.00 x, 1.00 to 9.00 (1.00 x by processor time); {says}"
    )


def test_the_work_of_a_child_that_has_ended_is_no_neighbour_s() -> None:
    before = own_work()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert own_work() - before > 0.2  # in ticks of a hundredth
