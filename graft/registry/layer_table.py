"""A network layer by layer, as Keras' `summary` shows it: the table of cards and event logs. No TensorFlow."""

from collections.abc import Iterator
from math import prod
from typing import Literal

from pydantic import BaseModel, ConfigDict

from graft.vgg16.layers import LAYERS, HeadSpec, head_shapes, kernel_shape, pooled_width, position


class LayerRow(BaseModel):
    """One layer. shape: of its output for one picture; parameters: how many numbers it holds, statistics included.

    trainable: the training could change it. Layers without parameters are never trainable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["trunk", "tail", "head"]
    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    trainable: bool


def layer_table(cut: str, head: HeadSpec) -> tuple[LayerRow, ...]:
    """Every layer of trunk, tail and head, in order. What comes after the cut is the model's own, and was trained."""
    return (*_convolutional(cut), *_head(head))


def frozen(table: tuple[LayerRow, ...]) -> tuple[LayerRow, ...]:
    """The same of a network that nobody trains."""
    return tuple(row.model_copy(update={"trainable": False}) for row in table)


def _convolutional(cut: str) -> Iterator[LayerRow]:
    for i, layer in enumerate(LAYERS):
        convolution, own = layer.kind == "convolution", i > position(cut)
        yield LayerRow(
            part="tail" if own else "trunk",
            name=layer.name,
            kind=layer.kind,
            shape=(layer.size, layer.size, layer.channels),
            parameters=prod(kernel_shape(layer.name)) + layer.channels if convolution else 0,
            trainable=own and convolution,
        )


def _head(spec: HeadSpec) -> Iterator[LayerRow]:
    shapes = head_shapes(spec)

    def row(name: str, kind: str, width: int) -> LayerRow:
        parameters = sum(prod(shape) for each, shape in shapes.items() if each.startswith(f"{name}/"))
        return LayerRow(
            part="head", name=name, kind=kind, shape=(width,), parameters=parameters, trainable=parameters > 0
        )

    yield row("flatten" if spec.pooling == "flatten" else f"{spec.pooling}_pool", "pooling", pooled_width(spec.pooling))
    for i, units in enumerate(spec.hidden_units, start=1):
        yield row(f"dense_{i}", "dense, relu", units)
        if spec.batch_norm:
            yield row(f"batch_norm_{i}", "batch normalization", units)
        if spec.dropout:
            yield row(f"dropout_{i}", "dropout", units)
    yield row("predictions", "dense, softmax", spec.classes)
