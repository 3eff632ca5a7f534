"""What one training step does: a graft's variables, two optimizers over two explicit lists of them, compiled."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from graft.training.checkpoint import Arrays
from graft.training.recipe import Recipe
from graft.vgg16.heads import Weights, by_layer, head_logits, held_at
from graft.vgg16.layers import LAST, HeadSpec, between, feature_shape, head_shapes, is_statistic, tail_shapes
from graft.vgg16.trunk import forward

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
}


class TrainableGraft:
    """Tail and head in training, on features at the recipe's cut, at its precision.

    The tail learns at `trunk_learning_rate`, the head at `learning_rate`, each through an optimizer of its own: one
    optimizer that is told apart by layer names can match nothing without a word. Weights, gradients and optimizers are
    float32 at either precision; products are computed as the served graft computes them.
    """

    def __init__(
        self, recipe: Recipe, spec: HeadSpec, weights: Weights, labels: npt.NDArray[np.int32] | None = None
    ) -> None:
        """weights: float32, to start from. labels: of all training pictures; balanced class weights are made of them.

        Raises ValueError when they are needed and not there.
        """
        self._spec = spec
        self._label_smoothing = recipe.label_smoothing
        self._class_weights = class_weights(recipe, spec.classes, labels)
        self._chain = between(recipe.cut, LAST)
        self._dropout_stream = recipe.seed
        tail, head = tail_shapes(recipe.cut), head_shapes(spec)
        self._variables = {
            name: keras.Variable(weights[name], name=name.replace("/", "_")) for name in {**tail, **head}
        }
        self._held = {name: held_at(name, recipe.input_key.precision) for name in self._variables}
        groups = [([name for name in head if not is_statistic(name)], recipe.learning_rate)]
        if recipe.trunk_learning_rate is not None:
            groups.append((list(tail), recipe.trunk_learning_rate))
        self._optimizers = []
        for names, rate in groups:
            optimizer = OPTIMIZERS[recipe.optimizer](rate)
            optimizer.build([self._variables[name] for name in names])
            self._optimizers.append((optimizer, names))
        shape = feature_shape(recipe.cut) if recipe.feature_pooling is None else feature_shape(recipe.cut)[-1:]
        features = tf.TensorSpec((None, *shape), tf.float32)
        labels, seed = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((2,), tf.int32)
        step = tf.function(self._train, input_signature=[features, labels, seed], autograph=False)
        logits = tf.function(self._infer, input_signature=[features], autograph=False)
        # Traced here, so that the first step takes about as long as the others. Not with jit_compile: on a CPU XLA's
        # convolutions take twice as long (block 5 at bfloat16: 38 against 20 ms a picture).
        self._step, self._logits = step.get_concrete_function(), logits.get_concrete_function()

    def step(self, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], number: int) -> tuple[float, int]:
        """Learn from one batch: (n, …) features and (n,) labels. `number`: the step's number in the whole run.

        Returns the batch's summed cross-entropy before the update and how many it had right, as validation counts them:
        without weights of classes or smoothed labels.
        """
        seed = tf.constant([self._dropout_stream, number * 16], tf.int32)  # 16: room for each layer's own draw
        loss, correct = self._step(tf.constant(features), tf.constant(labels), seed)
        return float(loss), int(correct)

    def logits(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(n, classes) float32, as the served graft computes them."""
        return np.asarray(self._logits(tf.constant(features)))

    def weights(self) -> Arrays:
        """A copy of every parameter by name, statistics included."""
        return _copies(self._variables.items())

    def load(self, weights: Arrays) -> None:
        """Take on the parameters that `weights` returned, and leave the optimizers as they are."""
        for name, variable in self._variables.items():
            variable.assign(weights[name])

    def state(self) -> Arrays:
        """Everything that the next step depends on: parameters and the optimizers' variables."""
        return _copies([*self._variables.items(), *self._optimizer_variables()])

    def restore(self, state: Arrays) -> None:
        """Take on what `state` returned. Raises KeyError when a part is missing."""
        self.load(state)
        for name, variable in self._optimizer_variables():
            variable.assign(state[name])

    def _optimizer_variables(self) -> list[tuple[str, Any]]:
        return [
            (f"optimizer_{group}/{i}", variable)
            for group, (optimizer, _) in enumerate(self._optimizers)
            for i, variable in enumerate(optimizer.variables)
        ]

    def _at_precision(self) -> dict[str, Any]:
        return {name: tf.cast(variable.value, self._held[name]) for name, variable in self._variables.items()}

    def _train(self, features: Any, labels: Any, seed: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            weights = self._at_precision()
            x = forward(features, self._chain, by_layer(weights))
            logits, statistics = head_logits(x, weights, self._spec, dropout_seed=seed)
            loss = tf.reduce_mean(self._losses(logits, labels))
        groups = [[self._variables[name] for name in names] for _, names in self._optimizers]
        gradients = tape.gradient(loss, [[variable.value for variable in group] for group in groups])
        for (optimizer, _), group, variables in zip(self._optimizers, gradients, groups, strict=True):
            optimizer.apply(group, variables)
        for name, new in statistics.items():
            self._variables[name].assign(new)
        entropies = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        correct = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels)
        return tf.reduce_sum(entropies), tf.reduce_sum(tf.cast(correct, tf.int32))

    def _losses(self, logits: Any, labels: Any) -> Any:
        """What is made small, for each picture. As Keras' `fit` has it, its mean is over pictures, not over weights."""
        elsewhere = self._label_smoothing / self._spec.classes
        targets = tf.one_hot(labels, self._spec.classes, 1 - self._label_smoothing + elsewhere, elsewhere)
        entropies = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        return entropies * tf.gather(self._class_weights, labels)

    def _infer(self, features: Any) -> Any:
        weights = self._at_precision()
        return head_logits(forward(features, self._chain, by_layer(weights)), weights, self._spec)[0]


def class_weights(recipe: Recipe, classes: int, labels: npt.NDArray[np.int32] | None) -> npt.NDArray[np.float32]:
    """(classes,): what a picture of each class counts.

    balanced: n / (classes * n of the class) for n pictures, so that each class counts the same, and a picture 1 on
    average.
    """
    if recipe.class_weights == "none":
        return np.ones(classes, np.float32)
    if labels is None:
        raise ValueError("balanced class weights need the labels of the training pictures; received none.")
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)


def _copies(variables: Iterable[tuple[str, Any]]) -> Arrays:
    # numpy() may show the variable's own memory, which the next step overwrites.
    return {name: np.array(variable.numpy()) for name, variable in variables}
