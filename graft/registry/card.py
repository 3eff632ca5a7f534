"""What a model is called, and what `model.json` says about one version of it."""

import re
from math import prod
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from graft.errors import Conflict, InvalidInput
from graft.registry.layer_table import LayerRow
from graft.types import InputKey
from graft.vgg16.layers import LAYERS, HeadSpec, head_shapes, tail_shapes

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
BUILT_IN = "vgg16"  # the stock ImageNet classifier; it has no folder in the registry
STABLE = "stable"  # the alias that an unversioned route answers

MODEL, WEIGHTS, METRICS, REPORT = "model.json", "weights.safetensors", "metrics.json", "report"


def check_name(name: str) -> str:
    """The name of a model or an alias, unchanged. Raises InvalidInput when it breaks the rule."""
    if not NAME.fullmatch(name):
        raise InvalidInput(
            "A name has 1 to 63 lower-case letters, digits, dots, underscores and hyphens, and starts with a letter or "
            f"a digit; received {name[:100]!r}. Choose another name."
        )
    return name


def check_trainable(model: str) -> str:
    """The name of a model that users may train and delete, unchanged. Raises InvalidInput, and Conflict for `vgg16`."""
    if check_name(model) == BUILT_IN:
        raise Conflict(
            f"{BUILT_IN!r} is built in: it cannot be trained, changed or deleted; received it as a model's name. "
            "Choose another name."
        )
    return model


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Parameter(_Frozen):
    """One array in `weights.safetensors`, under the same name. trainable: the training could change it."""

    name: str
    shape: tuple[int, ...]
    trainable: bool
    count: int

    @model_validator(mode="after")
    def _count_is_the_shape_s(self) -> Self:
        if self.count != prod(self.shape):
            raise ValueError(f"count must be the product of the shape {self.shape}; received {self.count}.")
        return self


class ModelCard(_Frozen):
    """The schema of `model.json`: all that is needed to rebuild a version's layers, and where they came from.

    created_at: epoch milliseconds. tail: the trunk layers after `cut` that the version has its own copy of.
    temperature: what its logits are divided by before the softmax. layers: every layer of trunk, tail and head, in
    order. Both have defaults for cards that were written before there were any.
    """

    format: Literal[1] = 1
    model: str = Field(pattern=f"^(?:{NAME.pattern})$")
    version: int = Field(ge=1)
    created_at: int
    cut: str
    tail: tuple[str, ...]
    head: HeadSpec
    classes: tuple[str, ...]
    input: InputKey
    trunk_digest: str
    parameters: tuple[Parameter, ...]
    trainable_parameters: int
    frozen_parameters: int
    layers: tuple[LayerRow, ...] = ()
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    recipe: dict[str, Any]
    dataset: str
    dataset_revision: str
    job_id: str
    metrics: dict[str, Any]

    @model_validator(mode="after")
    def _a_class_for_each_output(self) -> Self:
        if len(self.classes) != self.head.classes:
            raise ValueError(f"the head has {self.head.classes} outputs; received {len(self.classes)} classes.")
        return self

    @model_validator(mode="after")
    def _the_parameters_that_the_layers_have(self) -> Self:
        if self.cut not in {layer.name for layer in LAYERS}:
            raise ValueError(f"cut must be a layer of the trunk; received {self.cut!r}.")
        needed = {**tail_shapes(self.cut), **head_shapes(self.head)}
        given = {parameter.name: parameter.shape for parameter in self.parameters}
        if given != needed:
            raise ValueError(f"parameters must be those of tail and head, {needed}; received {given}.")
        return self
