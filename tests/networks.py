"""Weights and Keras models that the tests compare with."""

from functools import cache
from pathlib import Path

import h5py
import keras
import numpy as np

from graft.vgg16.layers import CONVOLUTIONS, kernel_shape
from graft.vgg16.weights import TrunkWeights

DENSE_SHAPES = {"fc1": (25088, 4096), "fc2": (4096, 4096), "predictions": (4096, 1000)}


@cache
def random_trunk() -> TrunkWeights:
    """Seeded weights of the trunk's shapes, scaled so that activations keep their size (He et al. 2015)."""
    rng = np.random.default_rng(7)
    weights = {}
    for layer in CONVOLUTIONS:
        shape = kernel_shape(layer.name)
        kernel = rng.normal(0, (2 / (9 * shape[2])) ** 0.5, shape).astype(np.float32)
        weights[layer.name] = kernel, rng.normal(0, 0.1, shape[3]).astype(np.float32)
    return weights


def keras_trunk(weights: TrunkWeights, pooling: str | None = None) -> keras.Model:
    """Keras' own VGG16 without top, on these weights."""
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(224, 224, 3), pooling=pooling)
    for name, (kernel, bias) in weights.items():
        model.get_layer(name).set_weights([kernel, bias])
    return model


@cache
def random_dense() -> TrunkWeights:
    """Seeded fc1, fc2 and predictions (124 million numbers)."""
    rng = np.random.default_rng(11)
    return {
        name: (
            rng.standard_normal(shape, np.float32) * np.float32((2 / shape[0]) ** 0.5),
            np.zeros(shape[1], np.float32),
        )
        for name, shape in DENSE_SHAPES.items()
    }


def write_official(path: Path, layers: TrunkWeights) -> None:
    """A weights file in the official Keras files' layout: a group for each layer, its arrays named in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, (kernel, bias) in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            group[f"{name}_W_1:0"], group[f"{name}_b_1:0"] = kernel, bias
