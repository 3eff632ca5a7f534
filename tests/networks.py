"""Weights and Keras models that the tests compare with."""

from functools import cache
from pathlib import Path

import h5py
import keras
import numpy as np

from graft import images
from graft.vgg16.heads import Graft, imagenet_weights
from graft.vgg16.inputs import network_input
from graft.vgg16.labels import probabilities
from graft.vgg16.layers import CONVOLUTIONS, IMAGENET_HEAD, INPUT, LAST, kernel_shape
from graft.vgg16.sources import FULL
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weight_files import CLASSIFIER_SHAPES
from graft.vgg16.weights import TrunkWeights, WeightStore

# At bfloat16: of any layer's output, and of a tail and head on given features. Measured: 0.0174 (docs/decisions/0012).
BFLOAT16_ERROR = 0.02


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest error of a row (picture): its length over that of theirs."""
    errors, whole = (np.linalg.norm(x.reshape(len(x), -1), axis=1) for x in (ours - theirs, theirs))
    return float((errors / whole).max())


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


def random_dense() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Seeded fc1, fc2 and predictions (124 million numbers)."""
    rng = np.random.default_rng(11)
    return {
        name: (
            rng.standard_normal(shape, np.float32) * np.float32((2 / shape[0]) ** 0.5),
            np.zeros(shape[1], np.float32),
        )
        for name, shape in CLASSIFIER_SHAPES.items()
    }


def write_official(path: Path, layers: TrunkWeights) -> None:
    """A weights file in the official Keras files' layout: a group for each layer, its arrays named in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, (kernel, bias) in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            group[f"{name}_W_1:0"], group[f"{name}_b_1:0"] = kernel, bias


def build_official(folder: Path, trunk: Path, pictures: list[Path]) -> None:
    """A full-size weights file under its official name: the real trunk, and seeded dense layers.

    The last layer is scaled so that the median top-1 probability of the pictures is one half.
    """
    store = WeightStore(folder, trunk.parent, "")
    layers = {**store.trunk(), **random_dense()}
    write_official(folder / FULL.name, layers)
    raw = imagenet_logits(WeightStore(folder, folder, ""), pictures)
    kernel, bias = layers["predictions"]
    write_official(folder / FULL.name, {**layers, "predictions": (kernel * _scale(raw), bias)})


def _scale(raw: np.ndarray) -> np.float32:
    """The factor on these logits that gives a median top-1 probability of one half."""
    low, high = 0.0, 1e4
    for _ in range(60):
        middle = (low + high) / 2
        too_sure = np.median(probabilities(raw * np.float32(middle)).max(1)) > 0.5
        low, high = (low, middle) if too_sure else (middle, high)
    return np.float32(low)


def imagenet_logits(store: WeightStore, files: list[Path]) -> np.ndarray:
    """Our stock classifier's logits (n, 1000) for picture files."""
    classifier = store.classifier()
    if classifier is None:
        raise AssertionError("the weights file has no classifier part")
    numbers = network_input(np.stack([images.decode(file.read_bytes()) for file in files]), "caffe")
    trunk = TensorFlowTrunk(store.trunk())
    graft = Graft(LAST, IMAGENET_HEAD, imagenet_weights(classifier.layers))
    return graft.answer(trunk.run(numbers, INPUT, [LAST])[LAST], trunk.device)
