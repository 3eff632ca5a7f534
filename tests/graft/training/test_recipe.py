"""A recipe: what goes together, and what follows from it."""

from typing import Any

import pytest
from pydantic import ValidationError

from graft.training.presets import RecipeRequest
from graft.training.recipe import EarlyStopping, Recipe, version_in
from graft.types import InputKey


def recipe(**asked: Any) -> Recipe:
    return RecipeRequest.parse({"preset": "feature-extraction", **asked}).resolve()


def test_it_survives_json() -> None:
    whole = recipe(early_stopping={"patience": 2}, augmentation={"flip": "horizontal"}, init="signs:3", time_budget=60)
    assert Recipe.model_validate_json(whole.model_dump_json()) == whole


def test_only_a_head_on_the_whole_trunk_has_pooled_features() -> None:
    assert recipe(pooling="avg").feature_pooling == "avg"
    assert recipe().feature_pooling is None
    assert recipe(pooling="avg", cut="block4_pool").feature_pooling is None


def test_an_open_precision_is_settled_before_a_picture_is_computed_with() -> None:
    with pytest.raises(ValueError, match="must be settled"):
        _ = recipe().input_key
    assert recipe().at("bfloat16").input_key == InputKey("nearest", "caffe", "bfloat16")
    assert recipe(precision="float32").at("bfloat16").precision == "float32"


def test_what_is_monitored_without_early_stopping_is_the_loss() -> None:
    assert recipe().monitor == recipe(early_stopping={}).monitor == "val_loss"
    assert recipe(early_stopping={"monitor": "val_accuracy"}).monitor == "val_accuracy"
    assert recipe(early_stopping={}).early_stopping == EarlyStopping(monitor="val_loss", patience=3)


def test_a_rate_of_the_tail_and_a_tail_come_together() -> None:
    whole = recipe(cut="block4_pool")
    for wrong in ({"cut": "block5_pool"}, {"trunk_learning_rate": None}, {"cut": "block5_conv3"}):
        with pytest.raises(ValidationError, match="trunk_learning_rate belongs to convolutions after the cut"):
            Recipe.model_validate({**whole.model_dump(), **wrong})


@pytest.mark.parametrize(
    ("init", "version"),
    [
        ("imagenet", None),
        ("random", None),
        ("signs:3", ("signs", 3)),
        ("a:b:12", ("a:b", 12)),
        ("signs", None),
        ("signs:0", None),
        ("signs:03", None),
        (7, None),
    ],
)
def test_the_version_to_start_from(init: object, version: tuple[str, int] | None) -> None:
    assert version_in(init) == version
