"""VGG16 as a table (Simonyan & Zisserman 2014, configuration D), and what a head is made of. No TensorFlow here.

The trunk is a chain: `input`, then 13 convolutions (3x3, stride 1, same padding, ReLU) and 5 poolings (2x2, stride 2).
"""

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Literal

from graft.errors import InvalidFields

INPUT = "input"
Pooling = Literal["flatten", "avg", "max"]


@dataclass(frozen=True)
class Layer:
    """One layer of the trunk. `channels` and `size` (height = width, pixels) are its output's."""

    name: str
    kind: Literal["input", "convolution", "pooling"]
    channels: int
    size: int


def _chain() -> tuple[Layer, ...]:
    layers, size = [Layer(INPUT, "input", 3, 224)], 224
    for block, (convolutions, channels) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1):
        names = [f"block{block}_conv{i}" for i in range(1, convolutions + 1)]
        layers += [Layer(name, "convolution", channels, size) for name in names]
        size //= 2
        layers.append(Layer(f"block{block}_pool", "pooling", channels, size))
    return tuple(layers)


LAYERS = _chain()
LAST = LAYERS[-1].name
CONVOLUTIONS = tuple(layer for layer in LAYERS if layer.kind == "convolution")
_POSITION = {layer.name: i for i, layer in enumerate(LAYERS)}


def position(name: str) -> int:
    """Index of a layer in LAYERS. Raises InvalidFields for a name that is none."""
    if name not in _POSITION:
        raise InvalidFields(f"cut must be one of {', '.join(_POSITION)}; received {name!r}.")
    return _POSITION[name]


def layer(name: str) -> Layer:
    return LAYERS[position(name)]


def between(start: str, end: str) -> tuple[Layer, ...]:
    """The layers after `start` up to and including `end`, in order; empty when they are the same."""
    return LAYERS[position(start) + 1 : position(end) + 1]


@cache
def multiply_adds(start: str, end: str) -> int:
    """Of the convolutions after `start` up to and including `end`, for one picture."""
    convolutions = [layer for layer in between(start, end) if layer.kind == "convolution"]
    return sum(layer.size**2 * prod(kernel_shape(layer.name)) for layer in convolutions)


def feature_shape(cut: str) -> tuple[int, int, int]:
    """(height, width, channels) of the trunk's output at a cut for one picture."""
    at = layer(cut)
    return at.size, at.size, at.channels


def kernel_shape(name: str) -> tuple[int, int, int, int]:
    """HWIO shape of a convolution's kernel; its bias has the last number."""
    at = position(name)
    return 3, 3, LAYERS[at - 1].channels, LAYERS[at].channels


@dataclass(frozen=True)
class HeadSpec:
    """A head's architecture: pooling, then for each hidden width dense + ReLU (+ batch norm) (+ dropout), then softmax.

    Hashable: heads with equal specs share one compiled function.
    """

    pooling: Pooling
    hidden_units: tuple[int, ...]
    batch_norm: bool
    dropout: float
    classes: int


# fc1, fc2 and predictions of the stock network.
IMAGENET_HEAD = HeadSpec(pooling="flatten", hidden_units=(4096, 4096), batch_norm=False, dropout=0.0, classes=1000)


def pooled_width(pooling: Pooling, cut: str = LAST) -> int:
    """Numbers a picture after the pooling of a layer's output; a head pools the last one's."""
    size, _, channels = feature_shape(cut)
    return size * size * channels if pooling == "flatten" else channels


def head_shapes(spec: HeadSpec) -> dict[str, tuple[int, ...]]:
    """Parameter name -> shape, in order. Kernels are (in, out); `dense_1` is the first hidden layer.

    Names ending in `moving_mean` and `moving_variance` are statistics, never trained by gradient.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    width = pooled_width(spec.pooling)
    for i, units in enumerate(spec.hidden_units, start=1):
        shapes[f"dense_{i}/kernel"], shapes[f"dense_{i}/bias"] = (width, units), (units,)
        if spec.batch_norm:
            for part in ("gamma", "beta", "moving_mean", "moving_variance"):
                shapes[f"batch_norm_{i}/{part}"] = (units,)
        width = units
    shapes["predictions/kernel"], shapes["predictions/bias"] = (width, spec.classes), (spec.classes,)
    return shapes


@cache
def head_multiply_adds(spec: HeadSpec) -> int:
    """Of the dense layers, for one picture."""
    return sum(prod(shape) for name, shape in head_shapes(spec).items() if name.endswith("/kernel"))


def tail_shapes(cut: str) -> dict[str, tuple[int, ...]]:
    """Parameter name -> shape of the convolutions after a cut, in order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for at in between(cut, LAST):
        if at.kind == "convolution":
            shapes[f"{at.name}/kernel"], shapes[f"{at.name}/bias"] = kernel_shape(at.name), (at.channels,)
    return shapes


def is_statistic(parameter: str) -> bool:
    """Whether a head's parameter is a batch norm's running statistic."""
    return parameter.endswith(("/moving_mean", "/moving_variance"))


def trainable_parameters(cut: str, head: HeadSpec) -> int:
    """How many numbers of tail and head a training changes by gradient."""
    shapes = {**tail_shapes(cut), **head_shapes(head)}
    return sum(prod(shape) for name, shape in shapes.items() if not is_statistic(name))
