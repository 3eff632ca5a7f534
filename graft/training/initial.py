"""The weights that a training starts from."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from graft.registry import Registry
from graft.training.origin import check_fits
from graft.training.recipe import Recipe
from graft.vgg16.heads import by_parameter, initial_head
from graft.vgg16.layers import HeadSpec, position, tail_shapes
from graft.vgg16.weights import TrunkWeights

Arrays = dict[str, npt.NDArray[np.float32]]


def initial_weights(
    recipe: Recipe, spec: HeadSpec, classes: Sequence[str], trunk: TrunkWeights, registry: Registry
) -> Arrays:
    """Parameter name -> float32 array, of the tail and the head, as `recipe.init` says.

    A version's classes may be others than these: then its last layer is drawn anew. Raises InvalidFields where the
    version does not fit the recipe, NotFound and CorruptVersion where it cannot be read.
    """
    shapes, pretrained = tail_shapes(recipe.cut), by_parameter(trunk)
    random = recipe.init == "random"
    tail = _drawn(shapes, recipe.seed) if random else {name: pretrained[name] for name in shapes}
    head = initial_head(spec, recipe.seed)
    if recipe.origin:
        card, weights = registry.load(*recipe.origin)
        check_fits(recipe, card)
        taken = {name for name in weights if tuple(classes) == card.classes or not name.startswith("predictions/")}
        tail |= {name: weights[name] for name in taken & tail.keys()}
        head |= {name: weights[name] for name in taken & head.keys()}
    return {**tail, **head}


def _drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> Arrays:
    """Keras' defaults for convolutions, drawn from (seed, layer) alone: Glorot uniform kernels, zeros for biases."""
    weights: Arrays = {}
    for name, shape in shapes.items():
        weights[name] = np.zeros(shape, np.float32)
        if name.endswith("/kernel"):
            height, width, channels, filters = shape
            limit = (6 / (height * width * (channels + filters))) ** 0.5
            # The 1 keeps these apart from the head's, which are drawn from (seed, parameter number).
            draws = np.random.default_rng([seed, position(name.removesuffix("/kernel")), 1])
            weights[name] = draws.uniform(-limit, limit, shape).astype(np.float32)
    return weights
