"""What training computes at either precision: as the served graft does, with everything of its own learning."""

from typing import Any

import numpy as np
import pytest

from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.training.step import TrainableGraft, class_weights
from graft.types import Precision
from graft.vgg16.heads import Graft, by_parameter, initial_head, pooled
from graft.vgg16.layers import feature_shape, tail_shapes
from tests.networks import random_trunk

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")  # where the hardware has it not, slowly
CLASSES = 3
LABELS = np.array([0, 1, 2, 1], np.int32)


def recipe(precision: Precision, **asked: Any) -> Recipe:
    words = {"preset": "fine-tuning", "hidden_units": [8], "precision": precision, **asked}
    return RecipeRequest.parse(words).resolve()


def first_weights(recipe: Recipe) -> dict[str, np.ndarray]:
    tail = {name: array for name, array in by_parameter(random_trunk()).items() if name in tail_shapes(recipe.cut)}
    return {**tail, **initial_head(recipe.head(CLASSES), recipe.seed)}


def made(recipe: Recipe) -> TrainableGraft:
    return TrainableGraft(recipe, recipe.head(CLASSES), first_weights(recipe), LABELS)


def at_cut(recipe: Recipe, pictures: int = len(LABELS)) -> np.ndarray:
    shape = (pictures, *feature_shape(recipe.cut))
    return np.random.default_rng(4).uniform(0, 9, shape).astype(np.float32)


def rows(recipe: Recipe, pictures: int = len(LABELS)) -> np.ndarray:
    """As training reads them: pooled where nothing but the head comes after the cut."""
    features = at_cut(recipe, pictures)
    return features if recipe.feature_pooling is None else np.asarray(pooled(features, recipe.feature_pooling))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "asked", [{"cut": "block5_conv2"}, {"cut": "block5_pool", "pooling": "flatten"}, {"cut": "block5_pool"}], ids=str
)
def test_the_served_graft_answers_what_training_computed(precision: Precision, asked: dict[str, Any]) -> None:
    chosen = recipe(precision, batch_norm=True, **asked)
    graft, features = made(chosen), rows(chosen)
    for number in range(2):
        graft.step(features, LABELS, number)
    logits = graft.logits(features)
    same, other = (
        Graft(chosen.cut, chosen.head(CLASSES), graft.weights(), each).answer(at_cut(chosen), "CPU:0")
        for each in (precision, PRECISIONS[precision == "float32"])
    )
    np.testing.assert_allclose(same, logits, rtol=1e-5, atol=1e-5)
    apart = np.abs(other - logits).max()
    assert apart > 1e-4, "the precisions are the same: the comparison says nothing"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_from_the_input_on_every_layer_learns(precision: Precision) -> None:
    chosen = recipe(precision, cut="input", trunk_learning_rate=1e-3, learning_rate=1e-3)
    graft, first = made(chosen), first_weights(chosen)
    loss, correct = graft.step(rows(chosen, 1), LABELS[:1], 0)
    assert np.isfinite(loss)
    assert correct in (0, 1)
    weights = graft.weights()
    for name in tail_shapes("input"):
        assert weights[name].dtype == np.float32
        assert not np.array_equal(weights[name], first[name]), f"{name} did not learn"


def test_weights_stay_exact_where_products_are_rounded() -> None:
    """A thousandth of a weight is less than bfloat16 can add to it, and must not be lost."""
    chosen = recipe("bfloat16", cut="block5_pool", optimizer="sgd", learning_rate=1e-6)
    graft, first = made(chosen), first_weights(chosen)
    features = rows(chosen)
    for number in range(3):
        graft.step(features, LABELS, number)
    moved = np.abs(graft.weights()["dense_1/kernel"] - first["dense_1/kernel"])
    assert 0 < moved[moved > 0].min() < 2**-9 * np.abs(first["dense_1/kernel"]).mean()


def test_the_gradients_at_bfloat16_are_those_at_float32_but_for_rounding() -> None:
    """By what SGD moves: each parameter in about the same direction."""
    moved = {}
    for precision in PRECISIONS:
        chosen = recipe(precision, cut="block5_conv2", optimizer="sgd", trunk_learning_rate=1e-3, learning_rate=1e-3)
        graft, first = made(chosen), first_weights(chosen)
        graft.step(rows(chosen), LABELS, 0)
        moved[precision] = {name: array - first[name] for name, array in graft.weights().items()}
    for name, exact in moved["float32"].items():
        rounded = moved["bfloat16"][name]
        assert np.linalg.norm(rounded - exact) < 0.1 * np.linalg.norm(exact), name


def test_smoothed_labels_and_class_weights_change_the_step_and_not_what_is_said_of_it() -> None:
    plain = recipe("float32", cut="block5_pool", learning_rate=1e-2)
    asked = plain.model_copy(update={"label_smoothing": 0.3, "class_weights": "balanced"})
    features = rows(plain)
    one, other = made(plain), made(asked)
    assert one.step(features, LABELS, 0) == other.step(features, LABELS, 0)
    assert not np.array_equal(one.weights()["predictions/kernel"], other.weights()["predictions/kernel"])


def test_balanced_classes_count_the_same_and_a_picture_one_on_average() -> None:
    balanced = recipe("float32", class_weights="balanced")
    weights = class_weights(balanced, CLASSES, LABELS)
    np.testing.assert_allclose(np.bincount(LABELS) * weights, [4 / 3] * 3, rtol=1e-6)
    assert weights[LABELS].mean() == pytest.approx(1)
    with pytest.raises(ValueError, match="need the labels"):
        class_weights(balanced, CLASSES, None)
