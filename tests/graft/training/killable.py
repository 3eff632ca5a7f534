"""A training to be killed: `python -m tests.graft.training.killable FOLDER CLAIM` trains on, and tells of each step.

Two of them, one after the other: a head with dropout and batch norm, and one with a tail. Its clock ticks by a second
whenever it is asked, so that saves come within epochs as well as between them.
"""

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from graft.training.checkpoint import Checkpoints
from graft.training.fit import Fitted, fit
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.training.splits import SplitFeatures
from graft.training.step import TrainableGraft
from graft.types import Progress
from graft.vgg16.heads import initial_head
from graft.vgg16.layers import feature_shape, tail_shapes
from tests.monitors import Recorder

CLASSES = ("a", "b", "c")
_SHARED = {"keep": "best", "pooling": "avg", "seed": 7, "validation_steps": None, "class_weights": "balanced"}
RECIPES: dict[str, dict[str, Any]] = {
    "head": {
        **_SHARED,
        "preset": "feature-extraction",
        "hidden_units": [16],
        "learning_rate": 0.05,
        "batch_size": 5,
        "steps_per_epoch": 40,
        "epochs": 30,
        "early_stopping": {"monitor": "val_loss", "patience": 4},
    },
    "tail": {
        **_SHARED,
        "preset": "fine-tuning",
        "cut": "block5_conv2",
        "hidden_units": [8],
        "dropout": 0.3,
        "trunk_learning_rate": 1e-3,
        "batch_size": 2,
        "steps_per_epoch": 3,
        "epochs": 9,
        "early_stopping": {"monitor": "val_accuracy", "patience": 2},
    },
}


def trained(name: str, folder: Path, claim: int, monitor: Recorder) -> Fitted:
    recipe = RecipeRequest.parse(RECIPES[name]).resolve().at("float32")
    training, validation = split(recipe, 40 if name == "head" else 8, 1), split(recipe, 15, 2)
    rng, spec = np.random.default_rng(3), recipe.head(len(CLASSES))
    tail = {part: 0.02 * rng.normal(0, 1, shape).astype(np.float32) for part, shape in tail_shapes(recipe.cut).items()}
    graft = TrainableGraft(recipe, spec, {**tail, **initial_head(spec, recipe.seed)}, training.labels)
    ticks = itertools.count()
    checkpoints = Checkpoints(folder / "checkpoints" / name, claim)
    return fit(recipe, graft, training, validation, checkpoints, monitor, clock=lambda: float(next(ticks)))


def split(recipe: Recipe, pictures: int, seed: int) -> SplitFeatures:
    """Three classes that overlap, so that a training has something to get wrong."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), pictures).astype(np.int32)
    shape = feature_shape(recipe.cut) if recipe.feature_pooling is None else (512,)
    rows = rng.normal(0, 1, (pictures, *shape)).astype(np.float32)
    rows[np.arange(pictures), ..., labels] += 2
    return SplitFeatures(CLASSES, labels, lambda indices, _epoch: rows[indices])


@dataclass
class Saying(Recorder):
    """Says the training's name at each step, on standard output."""

    name: str = ""

    def report(self, _progress: Progress) -> None:
        print(self.name, flush=True)


def main(folder: Path, claim: int) -> None:
    for name in RECIPES:
        fitted = trained(name, folder, claim, Saying(name=name))
        history = {f"history/{line}": np.array(values) for line, values in fitted.history.items()}
        save_file({**fitted.weights, **history}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
