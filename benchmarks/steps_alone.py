"""The steps of a training and nothing else, in a process of its own: what they compute, on features that lie in memory.

    python -m benchmarks.steps_alone RECIPE CLASSES

RECIPE is a resolved recipe as JSON. Random features, three seconds of warm-up; one line of JSON says the seconds a
picture by the clock, and of all threads on a processor.
"""

import json
import sys
import time

import numpy as np

from benchmarks.grafts import Kind
from graft.training.recipe import Recipe
from graft.training.step import TrainableGraft
from graft.vgg16.layers import LAST, feature_shape

WARM_UP, SECONDS = 3.0, 10.0
BATCHES = 8  # different ones, in turns


def main(recipe: Recipe, classes: int) -> None:
    rng = np.random.default_rng(0)
    spec = recipe.head(classes)
    weights = Kind("tail and head", recipe.cut, spec).weights(recipe.seed)
    graft = TrainableGraft(recipe, spec, weights)
    shape = feature_shape(recipe.cut) if recipe.feature_pooling is None else feature_shape(LAST)[-1:]
    features = np.maximum(rng.standard_normal((BATCHES, recipe.batch_size, *shape), np.float32), 0)  # after a ReLU
    labels = rng.integers(0, classes, (BATCHES, recipe.batch_size), np.int32)

    def run(seconds: float) -> list[float]:
        began, used, steps = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < seconds or steps < 2:
            graft.step(features[steps % BATCHES], labels[steps % BATCHES], steps)
            steps += 1
        pictures = steps * recipe.batch_size
        return [(time.perf_counter() - began) / pictures, (time.process_time() - used) / pictures]

    run(WARM_UP)
    print(json.dumps(run(SECONDS)), flush=True)


if __name__ == "__main__":
    main(Recipe.model_validate_json(sys.argv[1]), int(sys.argv[2]))
