"""Training the head alone, all of VGG16 frozen: Graft's job against plain Keras, and against what it must compute.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.head_only [--precision float32] [--rounds 1]

The textbook's feature extraction (flatten, 64 units, batch norm, dropout, softmax; batches of 30) on the sign-language
digits (1712 training, 300 validation, 50 test pictures), 20 epochs of every picture with its validation. Graft's is
the whole job, evaluation and report included, in a fresh process without any features, from the moment that it is up;
then a second one on the same pictures. Of plain Keras (benchmarks/plain_keras.py) steps are timed, before and after,
and multiplied to 20 epochs; it runs at the same precision (Keras' mixed policy), and at float32. Wanted:
- at most 1.15 x one pass of the distinct pictures through the compiled trunk, and the head's steps;
- at least 15 x as fast as plain Keras at the same precision;
- the second job: under 10 seconds of work.
"""

import argparse
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.grafts import AVG_64, publish
from benchmarks.machine import Neighbours, assets, describe
from benchmarks.plain_keras import Order
from benchmarks.raw import Figures, Raw
from benchmarks.raw import median as median_figures
from benchmarks.trainings import (
    EPOCHS,
    PICTURES,
    WHOLE,
    Clocks,
    Home,
    Plain,
    Training,
    claim,
    home_with_digits,
    median,
    plain,
    said,
    steps_alone,
)
from graft.training.presets import RecipeRequest
from graft.types import Precision

BATCH = 30


@dataclass(frozen=True)
class Round:
    """plain: at Graft's precision, before and after it; plain_float32. trunk, head: what a picture costs by itself."""

    cold: Training
    second: Training
    plain: list[Plain]
    plain_float32: Plain
    trunk: Clocks
    head: Clocks

    @property
    def least(self) -> Clocks:
        """1.15 x one pass, and the head's steps."""
        return self.trunk * (1.15 * sum(PICTURES.values())) + self.head * (EPOCHS * PICTURES["train"])

    @property
    def epoch(self) -> Clocks:
        """Of plain Keras at Graft's precision."""
        return median([each.epoch for each in self.plain])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--steps", type=int, default=6, help="of plain Keras, in each measurement")
    asked = arguments.parse_args()
    print(f"{describe()}\n{asked.precision}; head only, {EPOCHS} epochs, batches of {BATCH}", flush=True)
    with tempfile.TemporaryDirectory() as folder, home_with_digits(Path(folder)) as home:
        publish(home.stores.registry, "raw", AVG_64, precision=asked.precision)
        with Raw(home.folder / "registry" / "raw" / "1", assets() / "weights", asked.precision) as raw:
            if asked.precision not in raw.native:
                print(f"{asked.precision}: not native here, skipped; --precision float32 is")
                return
            neighbours = Neighbours()
            report([measured(home, raw, asked.precision, asked.steps, number) for number in range(asked.rounds)])
            print(neighbours)


def measured(home: Home, raw: Raw, precision: Precision, steps: int, number: int) -> Round:
    shutil.rmtree(home.folder / "features", ignore_errors=True)
    order = Order("feature-extraction", precision, BATCH, steps=steps)
    recipe = {"preset": "feature-extraction", "batch_size": BATCH, "precision": precision, **WHOLE}
    before = raw.measure(2)
    first = said(f"plain Keras, {precision}", plain(order))
    cold = said("Graft, cold", home.train("digits", {**recipe, "seed": 2 * number}))
    second = said("Graft, a second job", home.train("digits", {**recipe, "seed": 2 * number + 1}))
    last = said(f"plain Keras, {precision}", plain(order))
    float32 = (
        last if precision == "float32" else said("plain Keras, float32", plain(replace(order, precision="float32")))
    )
    trunk = forward(median_figures([before, raw.measure(2)]))
    head = steps_alone(RecipeRequest.parse(recipe).resolve())
    print(
        f"alone, ms a picture: the trunk {trunk.wall * 1e3:.1f}, a step of the head {head.wall * 1e3:.3f}", flush=True
    )
    return Round(cold, second, [first, last], float32, trunk, head)


def forward(figures: Figures) -> Clocks:
    """Of a picture through the compiled trunk, at its best batch size, without decoding."""
    cost = figures.forwards[figures.best]
    return Clocks(cost.wall, cost.processor)


def report(rounds: list[Round]) -> None:
    cold, second = ([getattr(each, name).work for each in rounds] for name in ("cold", "second"))
    bound = [work / each.least for work, each in zip(cold, rounds, strict=True)]
    print(claim("over 1.15 x one pass of the distinct pictures and the head's steps", bound, most=1))
    same, float32 = (
        [epoch * EPOCHS / work for epoch, work in zip(epochs, cold, strict=True)]
        for epochs in ([each.epoch for each in rounds], [each.plain_float32.epoch for each in rounds])
    )
    print(claim("cold, faster than plain Keras at the same precision", same, least=15, unit=" x"))
    print(claim("cold, faster than plain Keras at float32", float32, unit=" x"))
    print(claim("a second job on the same pictures", second, most=10, unit=" s"))


if __name__ == "__main__":
    main()
