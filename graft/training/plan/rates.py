"""How fast this machine is, read from a few seconds of the real work: decoding, the trunk, a training step."""

import statistics
import time
from collections.abc import Callable

import numpy as np

from graft.training.plan.costs import STEP_PASSES, Rates
from graft.training.recipe import Recipe
from graft.training.step import TrainableGraft
from graft.vgg16.layers import INPUT, LAST, feature_shape, head_shapes, multiply_adds, tail_shapes

Work = Callable[[], object]
Clock = Callable[[], float]
ENOUGH_SECONDS, LEAST_RUNS = 0.5, 2  # of a measurement; before it comes a run that is not counted, as it compiles
LEAST_SHARE = 0.1  # of a step's time that convolutions take: on a fast device noise may hide them behind the head's
STEP_MULTIPLY_ADDS = 130e9  # of the step that is timed, at most: some 0.6 s of two cores at bfloat16


def measure(
    pictures: int,
    decode: Work,
    extract: Work,
    head: Recipe,
    tail: Recipe,
    step: Callable[[Recipe, int], Work],
    clock: Clock = time.monotonic,
) -> Rates:
    """decode and extract work on that many pictures, extract decodes them too and takes them through the whole trunk.

    head: a recipe that trains only that; tail: one that trains convolutions as well; step: of a recipe and a batch.
    """
    decoding = seconds(decode, clock) / pictures
    passing = seconds(extract, clock) / pictures - decoding
    head_step = seconds(step(head, head.batch_size), clock)
    forward = multiply_adds(tail.cut, LAST)
    batch = max(1, min(tail.batch_size, int(STEP_MULTIPLY_ADDS / (STEP_PASSES * forward))))
    whole_step = seconds(step(tail, batch), clock)
    tail_step = max(whole_step - head_step, LEAST_SHARE * whole_step)
    return Rates(
        trunk=multiply_adds(INPUT, LAST) / max(passing, 1e-6),
        step=STEP_PASSES * batch * forward / tail_step,
        decode=decoding,
        head=head_step,
    )


def seconds(work: Work, clock: Clock) -> float:
    """Of one run: the median of a few."""
    work()
    runs: list[float] = []
    while len(runs) < LEAST_RUNS or sum(runs) < ENOUGH_SECONDS:
        started = clock()
        work()
        runs.append(clock() - started)
    return statistics.median(runs)


def training_step(classes: int, recipe: Recipe, batch: int) -> Work:
    """A step of the recipe on numbers that are drawn, which take as long as pictures do."""
    spec, rng = recipe.head(classes), np.random.default_rng(0)
    shapes = {**tail_shapes(recipe.cut), **head_shapes(spec)}
    weights = {name: 0.02 * rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    labels = rng.integers(0, classes, batch, np.int32)
    graft = TrainableGraft(recipe, spec, weights, labels)
    shape = feature_shape(recipe.cut) if recipe.feature_pooling is None else feature_shape(recipe.cut)[-1:]
    features = rng.random((batch, *shape), np.float32)
    return lambda: graft.step(features, labels, 0)
