"""Both presets against the literal Keras code: equal batches and first weights give equal weights after five steps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from graft import images
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.training.sampling import Batches
from graft.training.step import OPTIMIZERS, TrainableGraft
from graft.vgg16.heads import by_parameter, initial_head
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT, tail_shapes
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weights import TrunkWeights
from tests.drawing import CLASSES, jpeg
from tests.networks import keras_trunk, random_trunk

STEPS = 5
LEARNING_RATE = 1e-4
PER_CLASS = 4
LABELS = np.repeat(np.arange(len(CLASSES), dtype=np.int32), PER_CLASS)


def pixels() -> np.ndarray:
    return np.stack([images.decode(jpeg(label, seed)) for label in CLASSES for seed in range(PER_CLASS)])


def small(preset: str, **asked: Any) -> Recipe:
    """The preset, with batches that these few pictures fill."""
    words = {"preset": preset, "batch_size": 6, "steps_per_epoch": STEPS, "seed": 3, **asked}
    return RecipeRequest.parse(words).resolve().at("float32")


def gentle_trunk() -> TrunkWeights:
    """Features of the order of one, so that the rounding of most gradients stays below Adam's epsilon."""
    trunk = random_trunk()
    kernel, bias = trunk["block1_conv1"]
    return {**trunk, "block1_conv1": (kernel * np.float32(0.01), bias * np.float32(0.01))}


def batches(recipe: Recipe) -> list[np.ndarray]:
    draws = Batches(len(LABELS), recipe.batch_size, recipe.steps_per_epoch, recipe.seed, stream=0)
    return [draws.batch(0, step) for step in range(STEPS)]


class SeededDropout(keras.layers.Layer):
    """Keras' Dropout with its draws replaced: from (seed, step), as ours makes them for the first hidden layer."""

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__()
        self.rate, self.run_seed = rate, seed
        self.number = tf.Variable(0, dtype=tf.int32, trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        seed = tf.stack([self.run_seed, self.number * 16 + 1])
        return tf.where(tf.random.stateless_uniform(tf.shape(x), seed) >= self.rate, x / (1 - self.rate), 0.0)


def ours(recipe: Recipe, trunk: TrunkWeights) -> dict[str, np.ndarray]:
    """Our weights after the steps, from features at the recipe's cut.

    The features are computed batch by batch, as Keras does: a convolution's last bits depend on its batch size, and
    Adam's first steps turn the sign of a gradient near zero into a whole step.
    """
    numbers, runner = network_input(pixels(), recipe.preprocessing), TensorFlowTrunk(trunk)
    graft = TrainableGraft(recipe, recipe.head(len(CLASSES)), first_weights(recipe, trunk))
    for number, batch in enumerate(batches(recipe)):
        features = runner.run(numbers[batch], INPUT, [recipe.cut])[recipe.cut]
        graft.step(features, LABELS[batch], number)
    return graft.weights()


def first_weights(recipe: Recipe, trunk: TrunkWeights) -> dict[str, np.ndarray]:
    head = initial_head(recipe.head(len(CLASSES)), recipe.seed)
    return {name: array for name, array in by_parameter(trunk).items() if name in tail_shapes(recipe.cut)} | head


def fit_literally(model: keras.Model, recipe: Recipe, dropout: Sequence[SeededDropout] = ()) -> None:
    model.compile(keras.optimizers.Adam(LEARNING_RATE), loss="categorical_crossentropy", metrics=["accuracy"])
    numbers = pixels().astype(np.float32)
    if recipe.preprocessing == "caffe":
        numbers = keras.applications.vgg16.preprocess_input(numbers)
    for number, batch in enumerate(batches(recipe)):
        for layer in dropout:
            layer.number.assign(number)
        model.train_on_batch(numbers[batch], keras.utils.to_categorical(LABELS[batch], len(CLASSES)))


def assert_moved_alike(
    ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], first: dict[str, np.ndarray]
) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        moved, apart = np.abs(array - first[name]), np.abs(ours[name] - array)
        assert moved.max() > 1e-4, f"{name} did not move: the comparison says nothing"
        # Adam moves a weight by a whole step however small its gradient is. Where that is nothing but rounding, the
        # processor decides which way: one weight in 20,000 may go another.
        outside = apart > 1e-4 + 1e-4 * np.abs(array)
        assert outside.sum() <= max(1, outside.size // 20_000), name
        assert apart.max() < 2 * STEPS * LEARNING_RATE, name
        assert apart.mean() < 0.1 * moved.mean(), name


def test_feature_extraction_is_the_literal_keras_code() -> None:
    recipe, trunk = small("feature-extraction"), gentle_trunk()
    first = first_weights(recipe, trunk)
    base = keras_trunk(trunk)
    for layer in base.layers:
        layer.trainable = False
    dropout = SeededDropout(0.5, recipe.seed)
    x = keras.layers.Flatten()(base.output)
    x = keras.layers.Dense(64, activation="relu", name="dense_1")(x)
    x = keras.layers.BatchNormalization(name="batch_norm_1")(x)
    x = dropout(x)
    model = keras.Model(base.input, keras.layers.Dense(len(CLASSES), activation="softmax", name="predictions")(x))
    for name in ("dense_1", "batch_norm_1", "predictions"):
        model.get_layer(name).set_weights([array for key, array in first.items() if key.startswith(f"{name}/")])
    fit_literally(model, recipe, [dropout])
    theirs = {
        f"{name}/{weight.name}": weight.numpy()
        for name in ("dense_1", "batch_norm_1", "predictions")
        for weight in model.get_layer(name).weights
    }
    assert_moved_alike(ours(recipe, trunk), theirs, first)


def test_fine_tuning_is_the_literal_keras_code() -> None:
    recipe, trunk = small("fine-tuning"), gentle_trunk()
    first = first_weights(recipe, trunk)
    base = keras_trunk(trunk, pooling="avg")
    for layer in base.layers[:-5]:
        layer.trainable = False
    predictions = keras.layers.Dense(len(CLASSES), activation="softmax", name="predictions")(base.output)
    model = keras.Model(base.input, predictions)
    model.get_layer("predictions").set_weights([first["predictions/kernel"], first["predictions/bias"]])
    fit_literally(model, recipe)
    theirs = {f"{weight.path}": weight.numpy() for weight in model.trainable_weights}
    assert_moved_alike(ours(recipe, trunk), theirs, first)


@pytest.mark.parametrize(
    "asked",
    [
        {"label_smoothing": 0.2},
        {"class_weights": "balanced"},
        {"label_smoothing": 0.1, "class_weights": "balanced"},
        {"optimizer": "adamw"},
        {"optimizer": "sgd", "learning_rate": 1e-2},
        {"optimizer": "rmsprop"},
    ],
    ids=str,
)
def test_a_head_on_features_learns_as_keras_fit_does(asked: dict[str, Any]) -> None:
    """Hidden layer and batch norm on pooled features; rare classes count more as `class_weight` makes them."""
    recipe = small("feature-extraction", pooling="avg", dropout=0.0, **asked)
    spec, rng = recipe.head(3), np.random.default_rng(6)
    labels = np.array([0] * 12 + [1] * 5 + [2], np.int32)
    features, first = rng.normal(0, 3, (len(labels), 512)).astype(np.float32), initial_head(spec, recipe.seed)
    layers = [
        keras.layers.Dense(64, activation="relu", name="dense_1"),
        keras.layers.BatchNormalization(name="batch_norm_1"),
        keras.layers.Dense(3, activation="softmax", name="predictions"),
    ]
    model = keras.Sequential([keras.Input((512,)), *layers])
    for layer in layers:
        layer.set_weights([array for name, array in first.items() if name.startswith(f"{layer.name}/")])
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
    model.compile(OPTIMIZERS[recipe.optimizer](recipe.learning_rate), loss=loss)
    weights = {0: 18 / (3 * 12), 1: 18 / (3 * 5), 2: 18 / 3} if recipe.class_weights == "balanced" else None
    graft = TrainableGraft(recipe, spec, first, labels)
    for number in range(STEPS):
        batch = rng.permutation(len(labels))[:9]
        graft.step(features[batch], labels[batch], number)
        targets = keras.utils.to_categorical(labels[batch], 3)
        model.train_on_batch(features[batch], targets, class_weight=weights)
    theirs = {f"{layer.name}/{weight.name}": weight.numpy() for layer in layers for weight in layer.weights}
    ours = graft.weights()
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        moved = np.abs(array - first[name]).max()
        assert moved > 0, f"{name} did not move: the comparison says nothing"
        assert np.abs(ours[name] - array).max() < 0.02 * moved, name


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_tail_and_head_learn_at_their_own_rates(optimizer: str) -> None:
    recipe = small("fine-tuning", cut="block5_conv2", optimizer=optimizer, trunk_learning_rate=1e-30)
    spec = replace(recipe.head(3), hidden_units=(8,))
    tail = {name: random_trunk()["block5_conv3"][i] for i, name in enumerate(tail_shapes("block5_conv2"))}
    first = {**tail, **initial_head(spec, 0)}
    graft = TrainableGraft(recipe, spec, first)
    graft.step(np.random.default_rng(0).uniform(0, 9, (4, 14, 14, 512)).astype(np.float32), LABELS[::3], 0)
    for name, array in graft.weights().items():
        assert np.array_equal(array, first[name]) == (name in tail), name
