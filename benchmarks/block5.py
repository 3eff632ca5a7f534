"""Training block 5 and the head, blocks 1 to 4 frozen: Graft's job against plain Keras.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.block5 [--precision float32] [--rounds 1] [--epochs 3]

The textbook's fine-tuning (the three convolutions of block 5, average, softmax; 1e-4 for all) on the sign-language
digits (1712 training, 300 validation, 50 test pictures), in batches of 32, 20 epochs of every picture with its
validation. Graft's is the whole job, evaluation and report included, in a fresh process from the moment that it is up:
once without any features, for two epochs, once with those that the first one left, for --epochs; the median of the
epochs after each one's first stands for the rest of the 20. Of plain Keras (benchmarks/plain_keras.py) steps are timed,
before and after, and multiplied to 20 epochs; it runs at the same precision (Keras' mixed policy), and at float32.
Wanted:
- cold at least 3.5 x, cached at least 4.3 x as fast as plain Keras at the same precision;
- a step at most 1.1 x what it takes on features that lie in memory.
"""

import argparse
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.machine import Neighbours, describe
from benchmarks.plain_keras import Order
from benchmarks.trainings import (
    EPOCHS,
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

BATCH = 32
COLD_EPOCHS = 2


@dataclass(frozen=True)
class Round:
    """plain: at Graft's precision, before and after it; plain_float32. step: of a picture, on features in memory."""

    cold: Training
    cached: Training
    plain: list[Plain]
    plain_float32: Plain
    step: Clocks

    @property
    def ours(self) -> tuple[Clocks, Clocks]:
        """Graft's 20 epochs, cold and cached."""
        epoch = median([*self.cold.epochs, *self.cached.epochs])
        return self.cold.to(EPOCHS, epoch), self.cached.to(EPOCHS, epoch)

    @property
    def theirs(self) -> tuple[Clocks, Clocks]:
        """Plain Keras' 20 epochs, at Graft's precision and at float32."""
        return median([each.epoch for each in self.plain]) * EPOCHS, self.plain_float32.epoch * EPOCHS


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--epochs", type=int, default=3, help="of the job on kept features, two at least")
    arguments.add_argument("--steps", type=int, default=5, help="of plain Keras, in each measurement")
    asked = arguments.parse_args()
    print(
        f"{describe()}\n{asked.precision}; block 5 and head, {EPOCHS} epochs, of which Graft runs {COLD_EPOCHS} and "
        f"{asked.epochs}; batches of {BATCH}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder, home_with_digits(Path(folder)) as home:
        neighbours = Neighbours()
        report([measured(home, asked.precision, asked.epochs, asked.steps, i) for i in range(asked.rounds)])
        print(neighbours)


def measured(home: Home, precision: Precision, epochs: int, steps: int, number: int) -> Round:
    shutil.rmtree(home.folder / "features", ignore_errors=True)
    order = Order("fine-tuning", precision, BATCH, steps=steps)
    recipe = {"preset": "fine-tuning", "batch_size": BATCH, "precision": precision, **WHOLE}
    first = said(f"plain Keras, {precision}", plain(order))
    cold = said("Graft, cold", home.train("digits", {**recipe, "epochs": COLD_EPOCHS, "seed": 2 * number}))
    cached = said("Graft, cached", home.train("digits", {**recipe, "epochs": epochs, "seed": 2 * number + 1}))
    last = said(f"plain Keras, {precision}", plain(order))
    float32 = (
        last if precision == "float32" else said("plain Keras, float32", plain(replace(order, precision="float32")))
    )
    step = steps_alone(RecipeRequest.parse(recipe).resolve())
    print(f"alone, a step on features in memory: {step.wall * 1e3:.1f} ms a picture", flush=True)
    return Round(cold, cached, [first, last], float32, step)


def report(rounds: list[Round]) -> None:
    for i, (name, least) in enumerate((("cold", 3.5), ("cached", 4.3))):
        same, float32 = ([each.theirs[j] / each.ours[i] for each in rounds] for j in (0, 1))
        print(claim(f"{name}, faster than plain Keras at the same precision", same, least=least, unit=" x"))
        print(claim(f"{name}, faster than plain Keras at float32", float32, unit=" x"))
    steps = [each.cached.step(BATCH) / each.step for each in rounds]
    print(claim("a step, over the same on features in memory", steps, most=1.1))


if __name__ == "__main__":
    main()
