"""What is asked of a training, and the recipe that comes of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.errors import InvalidFields, InvalidInput
from graft.training.presets import DEFAULT_PRESET, PRESETS, RecipeRequest, check_validation, request_schema
from graft.training.recipe import Recipe


def resolved(asked: str | dict[str, Any], preset: str = "feature-extraction") -> Recipe:
    fields = {"preset": asked} if isinstance(asked, str) else {"preset": preset, **asked}
    return RecipeRequest.parse(fields).resolve()


def test_feature_extraction_is_the_textbook_s() -> None:
    recipe = resolved("feature-extraction")
    assert (recipe.init, recipe.cut, recipe.pooling, recipe.hidden_units) == (
        "imagenet",
        "block5_pool",
        "flatten",
        (64,),
    )
    assert (recipe.batch_norm, recipe.dropout) == (True, 0.5)
    assert (recipe.optimizer, recipe.learning_rate, recipe.trunk_learning_rate) == ("adam", 1e-4, None)
    assert (recipe.batch_size, recipe.steps_per_epoch, recipe.validation_steps) == (30, 4, 2)
    assert (recipe.epochs, recipe.validation_batch_size, recipe.keep) == (20, 30, "last")
    assert (recipe.preprocessing, recipe.interpolation) == ("caffe", "nearest")
    assert (recipe.early_stopping, recipe.augmentation, recipe.time_budget) == (None, None, None)


def test_fine_tuning_is_the_textbook_s() -> None:
    recipe = resolved("fine-tuning")
    assert (recipe.cut, recipe.pooling, recipe.hidden_units) == ("block4_pool", "avg", ())
    assert (recipe.batch_norm, recipe.dropout) == (False, 0.0)
    assert (recipe.optimizer, recipe.learning_rate, recipe.trunk_learning_rate) == ("adam", 1e-4, 1e-4)
    assert (recipe.batch_size, recipe.steps_per_epoch, recipe.validation_steps) == (10, 18, 3)
    assert (recipe.epochs, recipe.validation_batch_size, recipe.keep) == (20, 30, "best")
    assert (recipe.preprocessing, recipe.interpolation) == ("none", "nearest")
    assert (recipe.label_smoothing, recipe.class_weights) == (0.0, "none")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_by_its_name_alone(preset: str) -> None:
    assert RecipeRequest.parse(preset) == RecipeRequest.parse({"preset": preset}) == RecipeRequest(preset, {})  # type: ignore[arg-type]


def test_nothing_asked_is_the_default_preset() -> None:
    assert RecipeRequest.parse(None) == RecipeRequest.parse({}) == RecipeRequest.parse(DEFAULT_PRESET)


def test_what_is_asked_overrides_the_preset() -> None:
    recipe = resolved({"preset": "fine-tuning", "epochs": 5, "hidden_units": [32, 16]})
    assert (recipe.preset, recipe.epochs, recipe.hidden_units) == ("fine-tuning", 5, (32, 16))


@pytest.mark.parametrize("rate", [1, 1e-3])
def test_whatever_has_a_tail_trains_it(rate: float) -> None:
    asked = {"cut": "block5_conv1", "learning_rate": rate}
    assert resolved(asked).trunk_learning_rate == pytest.approx(rate / 10)
    assert resolved({"learning_rate": rate}, "fine-tuning").trunk_learning_rate == 1e-4
    assert resolved({"trunk_learning_rate": None}, "fine-tuning").trunk_learning_rate == 1e-4
    assert resolved({"cut": "block5_pool"}, "fine-tuning").trunk_learning_rate is None
    assert resolved({"cut": "input"}).trunk_learning_rate == pytest.approx(1e-5)


def test_a_head_of_softmax_alone_drops_the_preset_s_dropout_and_batch_norm() -> None:
    recipe = resolved({"hidden_units": []})
    assert (recipe.hidden_units, recipe.batch_norm, recipe.dropout) == ((), False, 0.0)


def test_auto_is_open_until_it_has_been_planned() -> None:
    request = RecipeRequest.parse({"epochs": 5, "time_budget": 600})
    assert request.open
    assert request.stored() == {"preset": "auto", "epochs": 5, "time_budget": 600}
    assert RecipeRequest.parse(request.stored()) == request
    recipe = request.resolve({"cut": "block3_pool", "epochs": 9, "pooling": "max"})
    assert (recipe.preset, recipe.cut, recipe.epochs, recipe.pooling) == ("auto", "block3_pool", 5, "max")
    assert recipe.trunk_learning_rate == pytest.approx(recipe.learning_rate / 10)
    again = RecipeRequest.parse(recipe.model_dump(mode="json"))
    assert not again.open
    assert again.resolve() == recipe


def test_a_rate_for_a_tail_holds_if_the_plan_finds_one() -> None:
    request = RecipeRequest.parse({"trunk_learning_rate": 0.5})
    assert request.resolve({"cut": "block4_pool"}).trunk_learning_rate == 0.5
    assert request.resolve({"cut": "block5_pool"}).trunk_learning_rate is None


@pytest.mark.parametrize("preset", ["feature-extraction", "fine-tuning"])
def test_a_stored_recipe_can_be_asked_for_again(preset: str) -> None:
    request = RecipeRequest.parse(preset)
    assert not request.open
    assert request.stored() == request.resolve().model_dump(mode="json")
    assert RecipeRequest.parse(request.stored()).resolve() == request.resolve()
    assert RecipeRequest.of(request.resolve()).resolve() == request.resolve()


def test_beside_a_version_to_start_from_everything_goes_that_could_fit_it() -> None:
    asked = {"init": "signs:3", "trunk_learning_rate": 1e-5, "dropout": 0.3}
    request = RecipeRequest.parse(asked)
    assert (request.origin, request.open) == (("signs", 3), False)
    whole = request.resolve({"cut": "block4_pool", "hidden_units": [32]})
    assert (whole.trunk_learning_rate, whole.dropout, whole.origin) == (1e-5, 0.3, ("signs", 3))
    with pytest.raises(InvalidFields, match="belongs to convolutions after the cut"):
        RecipeRequest.parse({**asked, "cut": "block5_pool"})


def test_what_needs_validation_pictures() -> None:
    check_validation(resolved("feature-extraction"), 0)
    check_validation(resolved("fine-tuning"), 1)
    with pytest.raises(InvalidInput, match=r"recipe\.keep 'best' needs validation pictures.* Ask for keep 'last'"):
        check_validation(resolved("fine-tuning"), 0)
    with pytest.raises(InvalidInput, match=r"recipe\.early_stopping needs validation .* Ask for early_stopping null"):
        check_validation(resolved({"early_stopping": {"patience": 1}}), 0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"epoch": 5}, "recipe has no field 'epoch'. Its fields are preset, init, cut,"),
        ({"epochs": 0}, "recipe.epochs: Input should be greater than or equal to 1; received 0."),
        ({"learning_rate": "fast"}, "recipe.learning_rate: Input should be a valid number"),
        ({"learning_rate": float("nan")}, "recipe.learning_rate: "),
        ({"preset": "best"}, "recipe.preset must be one of auto, feature-extraction, fine-tuning; received 'best'."),
        ({"preset": ["fine-tuning"]}, "recipe.preset must be one of"),
        ({"precision": "int8"}, "recipe.precision 'int8' is not built yet"),
        ({"precision": "float16"}, "recipe.precision"),
        ({"init": "signs"}, "recipe.init must be imagenet, random, or a version, as signs:3 is; received 'signs'."),
        ({"init": 3}, "recipe.init: Input should be a valid string; received 3."),
        ({"cut": "block6_pool"}, "cut must be one of input, block1_conv1,"),
        ({"epochs": "5"}, "recipe.epochs: Input should be a valid integer; received '5'."),
        ({"epochs": True}, "recipe.epochs: Input should be a valid integer; received True."),
        ({"cut": "block5_pool", "trunk_learning_rate": 1e-4}, "trunk_learning_rate belongs to convolutions after"),
        ({"cut": "block5_conv3", "trunk_learning_rate": 1e-4}, "trunk_learning_rate belongs to convolutions after"),
        ({"hidden_units": [], "dropout": 0.5}, "batch_norm and dropout follow a hidden layer"),
        ({"hidden_units": 64}, "recipe.hidden_units must be a list, as [64] is; received 64."),
        ({"hidden_units": [0]}, "recipe.hidden_units.0: Input should be greater than or equal to 1; received 0."),
        ({"early_stopping": {"patience": 0}}, "recipe.early_stopping.patience: Input should be greater than or equal"),
        ({"early_stopping": {"patienc": 1}}, "recipe.early_stopping.patienc: "),
        ({"augmentation": {"views": -1}}, "recipe.augmentation.views: Input should be greater than or equal to 0"),
        ({"label_smoothing": 1}, "recipe.label_smoothing: Input should be less than 1; received 1."),
        ({"time_budget": 1}, "recipe.time_budget: Input should be greater than or equal to 10; received 1."),
    ],
)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_bad_request_is_refused_by_the_field_s_name(preset: str, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        RecipeRequest.parse({"preset": preset, **asked})
    assert message in str(refused.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*Recipe.model_fields]) | st.text(max_size=10), json_values, max_size=5))
def test_any_request_is_taken_or_refused_and_survives_being_stored(asked: dict[str, Any]) -> None:
    try:
        request = RecipeRequest.parse(asked)
    except InvalidFields:
        return
    stored = json.loads(json.dumps(request.stored()))
    assert RecipeRequest.parse(stored).resolve() == request.resolve()


def test_the_schema_of_a_request_stands_by_itself() -> None:
    schema = request_schema()
    assert "$" not in json.dumps(schema).replace(")$", "")  # but for the end of a pattern
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert all("default" not in field for field in schema["properties"].values())
    assert all(field["description"] for field in schema["properties"].values())
    stopping = schema["properties"]["early_stopping"]["anyOf"][0]["properties"]
    assert stopping["patience"]["default"] == 3
