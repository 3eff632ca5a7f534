"""The weights that a training starts from: the trunk's, drawn, or a version's."""

from typing import Any

import numpy as np
import pytest

from graft.errors import InvalidFields, NotFound
from graft.registry import ModelCard, Registry, write_version
from graft.training.initial import Arrays, initial_weights
from graft.training.presets import RecipeRequest
from graft.training.publish import parameter_table
from graft.training.recipe import Recipe
from graft.types import InputKey
from graft.vgg16.heads import initial_head
from graft.vgg16.layers import HeadSpec, head_shapes, tail_shapes
from graft.vgg16.weights import TRUNK_DIGEST

CLASSES = ("discs", "stripes", "triangles")
CUT = "block5_conv2"  # one convolution after it


@pytest.fixture(scope="module")
def trunk() -> dict[str, Any]:
    """Of the layers that a tail here may have; each with a number of its own."""
    shapes = tail_shapes("block4_pool")
    layers = list(dict.fromkeys(name.partition("/")[0] for name in shapes))
    return {
        name: tuple(np.full(shapes[f"{name}/{part}"], i + 1, np.float32) for part in ("kernel", "bias"))
        for i, name in enumerate(layers)
    }


def recipe(**asked: Any) -> Recipe:
    fields = {"preset": "feature-extraction", "pooling": "avg", "hidden_units": [4], "cut": CUT, "seed": 5, **asked}
    return RecipeRequest.parse(fields).resolve()


def publish(registry: Registry, spec: HeadSpec, *, model: str = "signs") -> Arrays:
    """Version 1, whose weights are all drawn."""
    draws = np.random.default_rng(0)
    shapes = {**tail_shapes(CUT), **head_shapes(spec)}
    weights = {name: draws.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    card = ModelCard(
        model=model,
        version=1,
        created_at=0,
        cut=CUT,
        tail=("block5_conv3", "block5_pool"),
        head=spec,
        classes=CLASSES,
        input=InputKey(),
        trunk_digest=TRUNK_DIGEST,
        parameters=parameter_table(weights),
        trainable_parameters=0,
        frozen_parameters=0,
        recipe={},
        dataset="ds_a",
        dataset_revision="0" * 64,
        job_id="job_1",
        metrics={},
    )
    staged = registry.stage(model)
    write_version(staged, card, weights, {}, {})
    registry.publish(staged, model, 1)
    return weights


def start(recipe: Recipe, trunk: Any, registry: Registry, classes: tuple[str, ...] = CLASSES) -> Arrays:
    spec = recipe.head(len(classes))
    weights = initial_weights(recipe, spec, classes, trunk, registry)
    shapes = {**tail_shapes(recipe.cut), **head_shapes(spec)}
    assert [(name, array.shape) for name, array in weights.items()] == [*shapes.items()]
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    return weights


def check(weights: Arrays, expected: Arrays) -> None:
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)


def limit(shape: tuple[int, ...]) -> float:
    """Glorot's, by the formula: the root of 6 by the sum of fan in and fan out."""
    *window, fan_in, fan_out = shape
    return float((6 / (np.prod(window) * (fan_in + fan_out))) ** 0.5)


def test_imagenet_is_the_trunk_s_tail_and_a_head_from_the_seed(trunk: Any, registry: Registry) -> None:
    weights = start(recipe(cut="block5_conv1"), trunk, registry)
    assert [weights[f"block5_conv{i}/kernel"].max() for i in (2, 3)] == [2, 3]
    check(weights, initial_head(recipe().head(3), 5))


def test_random_is_drawn_as_keras_does_layer_by_layer(trunk: Any, registry: Registry) -> None:
    weights = start(recipe(init="random", cut="block4_pool"), trunk, registry)
    check(weights, start(recipe(init="random", cut="block4_pool"), trunk, registry))
    check(weights, start(recipe(init="random"), trunk, registry))  # a layer's own, whatever else is trained
    kernels = [weights[f"block5_conv{i}/kernel"] for i in (1, 2, 3)]
    most = limit(kernels[0].shape)
    for i, kernel in enumerate(kernels):
        assert np.abs(kernel).max() == pytest.approx(most, rel=1e-4)
        assert kernel.std() == pytest.approx(most / 3**0.5, rel=1e-2)
        assert not np.array_equal(kernel, kernels[i - 1])
        assert not weights[f"block5_conv{i + 1}/bias"].any()
    other = start(recipe(init="random", seed=6), trunk, registry)
    assert not np.array_equal(other["block5_conv3/kernel"], kernels[2])
    check(other, initial_head(recipe().head(3), 6))


def test_no_two_layers_are_drawn_alike(trunk: Any, registry: Registry) -> None:
    weights = start(recipe(init="random", cut="input", hidden_units=[4] * 4), trunk, registry)
    kernels = [array for name, array in weights.items() if name.endswith("/kernel")]
    firsts = {round(float(each.flat[0] / limit(each.shape)), 5) for each in kernels}
    assert len(firsts) == len(kernels) == 13 + 5


def test_a_version_s_own_layers_are_taken_and_the_trunk_s_before_them(trunk: Any, registry: Registry) -> None:
    theirs = publish(registry, recipe().head(3))
    check(start(recipe(init="signs:1"), trunk, registry), theirs)
    deeper = start(recipe(init="signs:1", cut="block5_conv1"), trunk, registry)
    check(deeper, theirs)
    assert deeper["block5_conv2/kernel"].max() == 2


def test_with_other_classes_the_last_layer_is_new(trunk: Any, registry: Registry) -> None:
    theirs = publish(registry, recipe().head(3))
    for classes in (("a", "b"), ("discs", "stripes", "squares")):
        weights = start(recipe(init="signs:1"), trunk, registry, classes)
        check(weights, {name: array for name, array in theirs.items() if not name.startswith("predictions/")})
        new = initial_head(recipe().head(len(classes)), 5)
        check(weights, {name: array for name, array in new.items() if name.startswith("predictions/")})


def test_a_version_that_does_not_fit_or_is_gone(trunk: Any, registry: Registry) -> None:
    publish(registry, recipe().head(3))
    with pytest.raises(InvalidFields, match="hidden_units must be"):
        start(recipe(init="signs:1", hidden_units=[5]), trunk, registry)
    with pytest.raises(NotFound):
        start(recipe(init="signs:2"), trunk, registry)
