"""Reading and writing VGG16's parameters as files: Keras HDF5 in both of its layouts, and the ONNX model of a wheel.

Layers are dictionaries: name -> (kernel, bias), float32. Convolution kernels are HWIO, dense ones (in, out).
"""

import hashlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from graft.disk import room_for, write_whole
from graft.errors import MissingWeights
from graft.vgg16.layers import CONVOLUTIONS, kernel_shape

Array = NDArray[np.float32]
Layers = dict[str, tuple[Array, Array]]

TRUNK_SHAPES: dict[str, tuple[int, ...]] = {layer.name: kernel_shape(layer.name) for layer in CONVOLUTIONS}
TRUNK_DIGEST = "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd"
CLASSIFIER_SHAPES: dict[str, tuple[int, ...]] = {"fc1": (25088, 4096), "fc2": (4096, 4096), "predictions": (4096, 1000)}


def digest(layers: Layers) -> str:
    """Hex sha256 over each trunk layer's kernel, then bias, in the order of the chain, as little-endian float32."""
    sha = hashlib.sha256()
    for name in TRUNK_SHAPES:
        for array in layers[name]:
            sha.update(np.ascontiguousarray(array, dtype="<f4").data)
    return sha.hexdigest()


def read_keras(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Layers:
    """The layers named by `shapes` (kernel shapes) from a Keras HDF5 file.

    Keras 1 wrote `block1_conv1/block1_conv1_W_1:0`, Keras 2 `block1_conv1/block1_conv1/kernel:0`, and a whole saved
    model has it all under `model_weights`: in each the layer's group holds one kernel and one vector, its bias.
    Raises MissingWeights, naming the file, when it cannot be read, or a layer is missing or of another shape.
    """
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            return {name: _read_layer(root, name, shape) for name, shape in shapes.items()}
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError) as error:  # all of them h5py's for damage
        raise MissingWeights(
            f"A weights file must be VGG16's in Keras' HDF5 format; received {path}: {error} Replace or remove it."
        ) from error


def _read_layer(root: Any, name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
    found: list[Any] = []
    if isinstance(group := root.get(name), h5py.Group):
        group.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    datasets = {dataset.shape: dataset for dataset in found}
    if len(found) != 2 or set(datasets) != {shape, shape[-1:]}:
        shapes = ", ".join(str(dataset.shape) for dataset in found) or "nothing"
        raise ValueError(f"layer {name} must hold a kernel of shape {shape} and a bias; it holds {shapes}.")
    return np.asarray(datasets[shape], np.float32), np.asarray(datasets[shape[-1:]], np.float32)


def write_keras(layers: Layers, path: Path) -> None:
    """Write the layers as a Keras 2 weights file, in full or not at all. Raises DiskFull."""
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.0.0"
        for name, (kernel, bias) in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group.create_dataset(f"{name}/kernel:0", data=kernel)
            group.create_dataset(f"{name}/bias:0", data=bias)
    with room_for(path.name):
        write_whole(path, buffer.getvalue())


def read_onnx(model: bytes) -> Layers:
    """The trunk from an ONNX model whose initializers are named as tf2onnx names those of a Keras VGG16.

    Kernels are stored as OIHW there. Raises ValueError when the model is no ONNX or an initializer is missing.
    """
    import onnx  # here: the service needs it once in its life, if ever
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load_from_string(model).graph
    except DecodeError as error:
        raise ValueError(f"it is no ONNX model ({error})") from error
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    layers: Layers = {}
    for name in TRUNK_SHAPES:
        kernel, bias = f"functional_1/{name}_1/convolution/ReadVariableOp:0", f"functional_1/{name}_1/Squeeze:0"
        if kernel not in tensors or bias not in tensors:
            raise ValueError(f"it has no initializers {kernel} and {bias}")
        oihw = numpy_helper.to_array(tensors[kernel])
        layers[name] = np.ascontiguousarray(oihw.transpose(2, 3, 1, 0)), numpy_helper.to_array(tensors[bias]).copy()
    return layers
