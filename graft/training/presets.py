"""What a user asks of a training: a preset, and what differs from it. Resolved to a recipe, unless `auto` has to look
at the pictures first. No TensorFlow.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationError

from graft.errors import InvalidFields, InvalidInput
from graft.training.recipe import Preset, Recipe, version_in
from graft.vgg16.layers import tail_shapes

DEFAULT_PRESET: Preset = "auto"
NOT_BUILT_VALUES = {"precision": ("int8",)}  # words of a later release; asked for today, they are refused by name

# The two projects of the textbook (Elgendy, Deep Learning for Vision Systems, chapter 6), number by number; and what
# `auto` starts from, whose cut, pooling, epochs and keep are what a plan decides (graft.training.plan).
PRESETS: dict[Preset, dict[str, Any]] = {
    "auto": {
        "cut": "block5_pool",
        "pooling": "avg",
        "hidden_units": [],
        "batch_norm": False,
        "dropout": 0.0,
        "learning_rate": 1e-3,
        "trunk_learning_rate": None,
        "batch_size": 32,
        "steps_per_epoch": None,
        "validation_batch_size": 32,
        "validation_steps": None,
        "keep": "best",
        "early_stopping": {"monitor": "val_loss", "patience": 3},
        "preprocessing": "caffe",
        "interpolation": "bilinear",
        "time_budget": 3600,
    },
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
    "init": "imagenet",
    "optimizer": "adam",
    "label_smoothing": 0.0,
    "class_weights": "none",
    "epochs": 20,
    "validation_batch_size": 30,
    "early_stopping": None,
    "augmentation": None,
    "seed": 0,
    "interpolation": "nearest",
    "precision": "auto",
    "time_budget": None,
}


@dataclass(frozen=True)
class RecipeRequest:
    """What was asked, checked field by field: `preset`, and the fields that were given. Every number of it is good."""

    preset: Preset
    asked: Mapping[str, Any]

    @classmethod
    def parse(cls, value: str | Mapping[str, Any] | None) -> Self:
        """A preset's name, an object of fields, or None for the default preset.

        Raises InvalidFields naming the field that is unknown, not built yet, or out of range.
        """
        asked = {"preset": value} if isinstance(value, str) else dict(value or {})
        _check_words(asked)
        preset = asked.pop("preset", DEFAULT_PRESET)
        if not isinstance(preset, str) or preset not in PRESETS:
            raise InvalidFields(f"recipe.preset must be one of {', '.join(PRESETS)}; received {preset!r}.")
        request = cls(preset, asked)
        request.resolve(_WHATEVER_GOES if request.origin else None)
        return request

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """That asks for exactly this."""
        return cls(recipe.preset, recipe.model_dump(mode="json", exclude={"preset"}))

    @property
    def origin(self) -> tuple[str, int] | None:
        """The version to start from, which gives the fields that are not asked for: graft.training.origin."""
        return version_in(self.asked.get("init"))

    @property
    def open(self) -> bool:
        """Whether a plan has to look at the pictures before there is a recipe."""
        return self.preset == "auto" and self.origin is None and not set(self.asked) >= _STORED

    def resolve(self, planned: Mapping[str, Any] | None = None) -> Recipe:
        """The preset, over it what was planned or is taken from a version, and over all of it what was asked.

        Raises InvalidFields when they do not go together.
        """
        base = {"preset": self.preset, **_SHARED, **PRESETS[self.preset], **(planned or {})}
        asked = dict(self.asked)
        if self.open and "cut" not in asked and not tail_shapes(base["cut"]):
            asked.pop("trunk_learning_rate", None)  # for a tail, if the plan finds that there is to be one
        try:
            # As strict JSON: no "5" for 5, no true for 1; but a list for a tuple.
            return Recipe.model_validate_json(json.dumps(_settle(base, asked)), strict=True)
        except ValidationError as error:
            raise InvalidFields(_sentence(error)) from None

    def stored(self) -> dict[str, Any]:
        """As a job's row has it: the recipe, or while that is open what was asked. `parse` takes both."""
        return {"preset": self.preset, **self.asked} if self.open else self.resolve().model_dump(mode="json")


_STORED = set(Recipe.model_fields) - {"preset"}
# In the place of what a version gives: with these, whatever can be asked for beside it goes.
_WHATEVER_GOES = {"cut": "input", "hidden_units": [64]}


def request_schema() -> dict[str, Any]:
    """The JSON schema of a recipe request that is an object: any of the fields, the preset gives the rest.

    It refers to nothing outside of itself, so that it may stand in any document.
    """
    schema = Recipe.model_json_schema()

    def whole(node: Any) -> Any:
        if isinstance(node, dict):
            rest = {key: whole(value) for key, value in node.items() if key != "$ref"}
            return whole(schema["$defs"][node["$ref"].rpartition("/")[2]]) | rest if "$ref" in node else rest
        return [whole(each) for each in node] if isinstance(node, list) else node

    fields = {name: whole(field) for name, field in schema["properties"].items()}
    for field in fields.values():
        field.pop("default", None)  # what is left out comes from the preset
    return {"type": "object", "properties": fields, "additionalProperties": False}


def check_validation(recipe: Recipe, validation_pictures: int) -> None:
    """Raises InvalidInput for a recipe that needs validation pictures, on a dataset that has none."""
    if validation_pictures:
        return
    rule = "needs validation pictures; the dataset has none."
    if recipe.keep == "best":
        raise InvalidInput(f"recipe.keep 'best' {rule} Ask for keep 'last'.")
    if recipe.early_stopping:
        raise InvalidInput(f"recipe.early_stopping {rule} Ask for early_stopping null.")


def _check_words(asked: Mapping[str, Any]) -> None:
    for field, value in asked.items():
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
        if problem["type"] == "string_pattern_mismatch":  # so is init
            rule = "must be imagenet, random, or a version, as signs:3 is"
            problems.append(f"{field} {rule}; received {problem['input']!r}")
            continue
        received = "" if problem["type"] == "value_error" else f"; received {problem['input']!r}"
        problems.append(f"{field}: {problem['msg'].removeprefix('Value error, ')}{received}")
    return ". ".join(problems).rstrip(".") + "."
