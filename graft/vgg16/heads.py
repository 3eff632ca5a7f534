"""Heads, and whole grafts (tail + head), as compiled functions of features and weights."""

import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from graft.types import Precision
from graft.vgg16.devices import filled
from graft.vgg16.host import host_tensors
from graft.vgg16.layers import (
    LAST,
    HeadSpec,
    Pooling,
    between,
    feature_shape,
    head_multiply_adds,
    head_shapes,
    multiply_adds,
    tail_shapes,
)
from graft.vgg16.trunk import forward

Weights = Mapping[str, Any]  # parameter name -> array, tensor or variable
BATCH_NORM_EPSILON = 1e-3  # Keras' defaults
BATCH_NORM_MOMENTUM = 0.99


def head_logits(x: Any, weights: Weights, spec: HeadSpec, dropout_seed: Any = None) -> tuple[Any, dict[str, Any]]:
    """Logits (n, classes) of features (n, height, width, channels), or (n, channels) that are pooled already.

    With `dropout_seed` (two int32) the head is training: dropout draws from that seed alone, batch norm uses the
    batch's own statistics, and the new running statistics come back by parameter name. Without it, none do.
    A product is computed at its kernel's precision, everything else at float32.
    """
    training, statistics = dropout_seed is not None, {}
    x = tf.cast(x, tf.float32)
    x = x if len(x.shape) == 2 else pooled(x, spec.pooling)
    for i in range(1, len(spec.hidden_units) + 1):
        x = tf.nn.relu(_dense(x, weights, f"dense_{i}"))
        if spec.batch_norm:
            x, new = _batch_norm(x, weights, f"batch_norm_{i}", training)
            statistics.update(new)
        if training and spec.dropout:
            x = _dropout(x, spec.dropout, dropout_seed + tf.constant([0, i], tf.int32))
    return _dense(x, weights, "predictions"), statistics


def _dense(x: Any, weights: Weights, name: str) -> Any:
    kernel = weights[f"{name}/kernel"]
    return tf.cast(tf.matmul(tf.cast(x, kernel.dtype), kernel), tf.float32) + weights[f"{name}/bias"]


def pooled(x: Any, pooling: Pooling) -> Any:
    """(n, height, width, channels) -> (n, channels), or all the numbers of a picture in one row for `flatten`."""
    if pooling == "flatten":
        return tf.reshape(x, (-1, int(np.prod(x.shape[1:]))))
    return tf.reduce_mean(x, (1, 2)) if pooling == "avg" else tf.reduce_max(x, (1, 2))


def _batch_norm(x: Any, weights: Weights, name: str, training: bool) -> tuple[Any, dict[str, Any]]:
    mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
    statistics = {}
    if training:
        batch_mean, batch_variance = tf.nn.moments(x, (0,))
        for part, old, new in (("moving_mean", mean, batch_mean), ("moving_variance", variance, batch_variance)):
            statistics[f"{name}/{part}"] = old * BATCH_NORM_MOMENTUM + new * (1 - BATCH_NORM_MOMENTUM)
        mean, variance = batch_mean, batch_variance
    gamma, beta = weights[f"{name}/gamma"], weights[f"{name}/beta"]
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, BATCH_NORM_EPSILON), statistics


def _dropout(x: Any, rate: float, seed: Any) -> Any:
    keep = tf.random.stateless_uniform(tf.shape(x), seed) >= rate
    return tf.where(keep, x / (1 - rate), 0.0)


class Graft:
    """Tail and head with one model's weights; calls share the function of their architecture and precision.

    nbytes: of the weights, on each device. multiply_adds: of one picture. Safe to call from several threads.
    """

    def __init__(
        self,
        cut: str,
        spec: HeadSpec,
        weights: Mapping[str, npt.NDArray[np.float32]],
        precision: Precision = "float32",
    ) -> None:
        self.cut = cut
        self.multiply_adds = multiply_adds(cut, LAST) + head_multiply_adds(spec)
        self._function, held = graft_function(cut, spec, precision)
        with tf.device("CPU:0"):
            self._weights = host_tensors([(weights[name], at) for name, at in held.items()])
        self.nbytes: int = sum(weight.shape.num_elements() * weight.dtype.size for weight in self._weights)
        self._placed: dict[str, list[Any]] = {}  # by device
        self._placing = threading.Lock()

    def answer(self, features: npt.NDArray[np.float32], device: str) -> npt.NDArray[np.float32]:
        """(n, height, width, channels) float32 at the cut -> logits (n, classes) float32."""
        with tf.device(device):
            logits = self._function(tf.constant(filled(features, device)), *self._on(device))
        return np.asarray(logits)[: len(features)]

    def _on(self, device: str) -> list[Any]:
        """The weights on that device, the current one. On the processor they are the same memory."""
        with self._placing:
            if device not in self._placed:
                self._placed[device] = [tf.identity(weight) for weight in self._weights]
            return self._placed[device]


@lru_cache(maxsize=512)
def graft_function(cut: str, spec: HeadSpec, precision: Precision) -> tuple[Callable[..., Any], dict[str, Precision]]:
    """One compiled function per architecture, its weights as arguments: loading one more such graft traces nothing.

    Returns the function (features, *weights) -> logits, and at which precision it takes each weight, in their order.
    """
    shapes = {**tail_shapes(cut), **head_shapes(spec)}
    held = {name: held_at(name, precision) for name in shapes}
    chain = between(cut, LAST)

    def run(features: Any, *flat: Any) -> Any:
        weights = dict(zip(shapes, flat, strict=True))
        return head_logits(forward(features, chain, by_layer(weights)), weights, spec)[0]

    signature = [tf.TensorSpec((None, *feature_shape(cut)), tf.float32)]
    signature += [tf.TensorSpec(shape, held[name]) for name, shape in shapes.items()]
    function = tf.function(run, input_signature=signature, autograph=False).get_concrete_function()
    return function, held


def held_at(parameter: str, precision: Precision) -> Precision:
    """The precision at which a graft takes a parameter, in training as in serving.

    Kernels are what takes room and time. The last one stays exact: rounding would make close logits equal.
    """
    return precision if parameter.endswith("/kernel") and parameter != "predictions/kernel" else "float32"


def by_layer(weights: Weights) -> dict[str, tuple[Any, Any]]:
    """`block5_conv1/kernel` and `/bias` -> {`block5_conv1`: (kernel, bias)}, for the convolutions among them."""
    return {
        name.removesuffix("/kernel"): (kernel, weights[name.removesuffix("kernel") + "bias"])
        for name, kernel in weights.items()
        if name.startswith("block") and name.endswith("/kernel")
    }


def initial_head(spec: HeadSpec, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Keras' defaults, drawn from (seed, parameter number) alone: Glorot uniform kernels, zeros, ones for scales."""
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for i, (name, shape) in enumerate(head_shapes(spec).items()):
        if name.endswith("/kernel"):
            limit = (6 / sum(shape)) ** 0.5
            weights[name] = np.random.default_rng([seed, i]).uniform(-limit, limit, shape).astype(np.float32)
        else:
            weights[name] = np.full(shape, float(name.endswith(("/gamma", "/moving_variance"))), np.float32)
    return weights


def by_parameter(layers: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """The other way round: {`block5_conv1`: (kernel, bias)} -> `block5_conv1/kernel` and `/bias`."""
    parts = ("kernel", "bias")
    return {f"{name}/{part}": array for name, pair in layers.items() for part, array in zip(parts, pair, strict=True)}


def imagenet_weights(layers: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """The stock classifier's layers (fc1, fc2, predictions) under the names of IMAGENET_HEAD's parameters."""
    names = {"dense_1": "fc1", "dense_2": "fc2", "predictions": "predictions"}
    return by_parameter({ours: layers[theirs] for ours, theirs in names.items()})
