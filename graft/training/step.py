"""What one training step does: a graft's variables, two optimizers over two explicit lists of them, compiled."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from graft.training.checkpoint import Arrays
from graft.training.recipe import Recipe
from graft.vgg16.heads import Weights, by_layer, head_logits
from graft.vgg16.layers import LAST, HeadSpec, between, feature_shape, head_shapes, is_statistic, tail_shapes
from graft.vgg16.trunk import forward

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
}


class TrainableGraft:
    """Tail and head in training, at float32, on features at the recipe's cut.

    The tail learns at `trunk_learning_rate`, the head at `learning_rate`, each through an optimizer of its own: one
    optimizer that is told apart by layer names can match nothing without a word.
    """

    def __init__(self, recipe: Recipe, spec: HeadSpec, weights: Weights) -> None:
        self._spec = spec
        self._chain = between(recipe.cut, LAST)
        self._dropout_stream = recipe.seed
        tail, head = tail_shapes(recipe.cut), head_shapes(spec)
        self._variables = {
            name: keras.Variable(weights[name], name=name.replace("/", "_")) for name in {**tail, **head}
        }
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
        self._step = tf.function(self._train, input_signature=[features, labels, seed], autograph=False)
        self._logits = tf.function(self._infer, input_signature=[features], autograph=False)

    def step(self, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], number: int) -> tuple[float, int]:
        """Learn from one batch: (n, …) features and (n,) labels. `number`: the step's number in the whole run.

        Returns the batch's summed cross-entropy (before the update) and how many it had right.
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

    def _values(self) -> dict[str, Any]:
        return {name: variable.value for name, variable in self._variables.items()}

    def _train(self, features: Any, labels: Any, seed: Any) -> tuple[Any, Any]:
        values = self._values()
        with tf.GradientTape() as tape:
            x = forward(features, self._chain, by_layer(values))
            logits, statistics = head_logits(x, values, self._spec, dropout_seed=seed)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        groups = [[values[name] for name in names] for _, names in self._optimizers]
        gradients = tape.gradient(loss, groups)
        for (optimizer, names), group in zip(self._optimizers, gradients, strict=True):
            optimizer.apply(group, [self._variables[name] for name in names])
        for name, new in statistics.items():
            self._variables[name].assign(new)
        correct = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(correct, tf.int32))

    def _infer(self, features: Any) -> Any:
        values = self._values()
        return head_logits(forward(features, self._chain, by_layer(values)), values, self._spec)[0]


def _copies(variables: Iterable[tuple[str, Any]]) -> Arrays:
    # numpy() may show the variable's own memory, which the next step overwrites.
    return {name: np.array(variable.numpy()) for name, variable in variables}
