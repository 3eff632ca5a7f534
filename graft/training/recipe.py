"""Recipes: what a user asks for (a preset, and what differs from it), resolved to every number. No TensorFlow."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from graft.errors import InvalidFields, InvalidInput
from graft.types import InputKey, Interpolation, Preprocessing
from graft.vgg16 import layers
from graft.vgg16.layers import HeadSpec, Pooling, tail_shapes

Preset = Literal["feature-extraction", "fine-tuning"]
DEFAULT_PRESET: Preset = "feature-extraction"
OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop"]
LearningRate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100_000)]
BatchSize = Annotated[int, Field(ge=1, le=512)]

# Features at an earlier cut take 3 MB a picture and more; they wait for the store that knows when not to keep them.
EARLIEST_CUT = "block3_pool"
# Words of the recipe that a later release brings; asked for today, they are refused by name.
NOT_BUILT_FIELDS = ("init", "early_stopping", "class_weights", "label_smoothing", "augmentation", "time_budget")
NOT_BUILT_VALUES = {"preset": ("auto",), "precision": ("auto", "bfloat16", "int8")}


class Recipe(BaseModel):
    """Every choice of a training run, as stored beside the model. Sizes in pictures, rates per step."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    preset: Preset
    """Where the other fields come from unless they are given."""
    cut: str
    """The trunk's layer after which the model has layers of its own: block5_pool trains the head alone, block4_pool the
    three convolutions of block 5 too, block3_pool those of block 4 as well."""
    pooling: Pooling
    """What makes one row of numbers of a picture's features."""
    hidden_units: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(max_length=4)]
    """The sizes of the head's hidden layers; []: softmax only."""
    batch_norm: bool
    """Batch normalization after each hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """The share of each hidden layer's outputs that a training step leaves out."""
    optimizer: OptimizerName
    learning_rate: LearningRate
    """Of the head."""
    trunk_learning_rate: LearningRate | None
    """Of the convolutions after the cut. Unless it is given: the preset's, or a tenth of the head's."""
    epochs: Annotated[int, Field(ge=1, le=1000)]
    """After each of them the model is measured on the validation pictures. See steps_per_epoch for how long one is."""
    batch_size: BatchSize
    """Pictures of a training step."""
    validation_batch_size: BatchSize
    steps_per_epoch: Count | None
    """With a number, an epoch is that many steps of batch_size pictures, however many pictures there are, and the next
    one goes on where it stopped: 20 epochs of 4 steps of 30 draw 2,400 pictures. With null it is every picture once."""
    validation_steps: Count | None
    """With a number, each epoch is measured on that many batches of validation_batch_size; with null, on all validation
    pictures. The finished model is measured on all of them in any case."""
    keep: Literal["best", "last"]
    """The weights of the epoch with the lowest validation loss, or those of the last one."""
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    """Of every draw: the same seed, recipe and pictures draw the same."""
    preprocessing: Preprocessing
    """caffe: BGR minus the ImageNet means, as VGG16 was trained; none: RGB from 0 to 255."""
    interpolation: Interpolation
    """How pictures are resized to 224 x 224."""
    precision: Literal["float32"]
    """For now float32 alone."""

    @model_validator(mode="after")
    def _head_and_cut(self) -> Self:
        if layers.position(self.cut) < layers.position(EARLIEST_CUT):
            raise ValueError(f"cut must be {EARLIEST_CUT} or a later layer, for now; received {self.cut}.")
        if bool(tail_shapes(self.cut)) != (self.trunk_learning_rate is not None):
            raise ValueError(
                "trunk_learning_rate belongs to convolutions after the cut; "
                f"received {self.trunk_learning_rate} with cut {self.cut}."
            )
        if not self.hidden_units and (self.batch_norm or self.dropout):
            raise ValueError("batch_norm and dropout follow a hidden layer; received them with hidden_units [].")
        return self

    @property
    def input_key(self) -> InputKey:
        return InputKey(self.interpolation, self.preprocessing, self.precision)

    @property
    def feature_pooling(self) -> Literal["avg", "max"] | None:
        """How features are pooled before they are kept: only where nothing but the head comes after the cut."""
        return self.pooling if self.cut == layers.LAST and self.pooling != "flatten" else None

    def head(self, classes: int) -> HeadSpec:
        return HeadSpec(self.pooling, self.hidden_units, self.batch_norm, self.dropout, classes)


# The two projects of the textbook (Elgendy, Deep Learning for Vision Systems, chapter 6), number by number.
PRESETS: dict[Preset, dict[str, Any]] = {
    "feature-extraction": {
        "cut": "block5_pool",
        "pooling": "flatten",
        "hidden_units": [64],
        "batch_norm": True,
        "dropout": 0.5,
        "learning_rate": 1e-4,
        "trunk_learning_rate": None,
        "batch_size": 30,
        "steps_per_epoch": 4,
        "validation_steps": 2,
        "keep": "last",
        "preprocessing": "caffe",
    },
    "fine-tuning": {
        "cut": "block4_pool",
        "pooling": "avg",
        "hidden_units": [],
        "batch_norm": False,
        "dropout": 0.0,
        "learning_rate": 1e-4,
        "trunk_learning_rate": 1e-4,
        "batch_size": 10,
        "steps_per_epoch": 18,
        "validation_steps": 3,
        "keep": "best",
        "preprocessing": "none",
    },
}
_SHARED: dict[str, Any] = {
    "optimizer": "adam",
    "epochs": 20,
    "validation_batch_size": 30,
    "seed": 0,
    "interpolation": "nearest",
    "precision": "float32",
}


def request_schema() -> dict[str, Any]:
    """The JSON schema of a recipe request that is an object: any of the fields, the preset gives the rest."""
    properties = Recipe.model_json_schema()["properties"]
    return {"type": "object", "properties": properties, "additionalProperties": False}


def parse_recipe(value: str | dict[str, Any] | None) -> Recipe:
    """Resolve a recipe request: a preset's name, an object of fields, or None for the default preset.

    Raises InvalidFields naming the field that is unknown, not built yet, or out of range.
    """
    asked = {"preset": value} if isinstance(value, str) else dict(value or {})
    _check_words(asked)
    preset = asked.get("preset", DEFAULT_PRESET)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InvalidFields(f"recipe.preset must be one of {', '.join(PRESETS)}; received {preset!r}.")
    settled = _settle({"preset": preset, **_SHARED, **PRESETS[preset]}, asked)
    try:
        # As strict JSON: no "5" for 5, no true for 1; but a list for a tuple.
        return Recipe.model_validate_json(json.dumps(settled), strict=True)
    except ValidationError as error:
        raise InvalidFields(_sentence(error)) from None


def check_keep(recipe: Recipe, validation_pictures: int) -> None:
    """Raises InvalidInput for `keep: best` on a dataset that has no pictures to tell the best by."""
    if recipe.keep == "best" and not validation_pictures:
        raise InvalidInput("recipe.keep 'best' needs validation pictures; the dataset has none. Ask for keep 'last'.")


def _check_words(asked: dict[str, Any]) -> None:
    for field, value in asked.items():
        if field in NOT_BUILT_FIELDS:
            raise InvalidFields(f"recipe.{field} is not built yet; leave it out.")
        if field not in Recipe.model_fields:
            fields = ", ".join(Recipe.model_fields)
            raise InvalidFields(f"recipe has no field {field!r}. Its fields are {fields}.")
        if isinstance(value, str) and value in NOT_BUILT_VALUES.get(field, ()):
            raise InvalidFields(f"recipe.{field} {value!r} is not built yet; leave it out.")


def _settle(preset: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Lay what was asked over the preset; what the preset says about layers that are not there any more goes."""
    recipe = {**preset, **asked}
    if recipe["hidden_units"] == []:
        recipe["batch_norm"] = asked.get("batch_norm", False)
        recipe["dropout"] = asked.get("dropout", 0.0)
    if asked.get("trunk_learning_rate") is None and isinstance(recipe["cut"], str):
        recipe["trunk_learning_rate"] = _trunk_learning_rate(preset, recipe)
    return recipe


def _trunk_learning_rate(preset: dict[str, Any], recipe: dict[str, Any]) -> float | None:
    """Unless it is asked for: none without a tail, else the preset's, else a tenth of the head's rate."""
    if not tail_shapes(recipe["cut"]):
        return None
    rate = recipe["learning_rate"]
    tenth = rate / 10 if isinstance(rate, int | float) else None
    return preset["trunk_learning_rate"] or tenth


def _sentence(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False):
        field = ".".join(str(part) for part in ("recipe", *problem["loc"]))
        if problem["type"] == "tuple_type":  # hidden_units is the only one
            problems.append(f"{field} must be a list, as [64] is; received {problem['input']!r}")
            continue
        received = "" if problem["type"] == "value_error" else f"; received {problem['input']!r}"
        problems.append(f"{field}: {problem['msg'].removeprefix('Value error, ')}{received}")
    return ". ".join(problems).rstrip(".") + "."
