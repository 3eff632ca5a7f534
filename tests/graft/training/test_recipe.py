from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.errors import InvalidFields, InvalidInput
from graft.training.recipe import NOT_BUILT_FIELDS, Recipe, check_keep, parse_recipe


def test_feature_extraction_is_the_textbook_s() -> None:
    recipe = parse_recipe("feature-extraction")
    assert (recipe.cut, recipe.pooling, recipe.hidden_units) == ("block5_pool", "flatten", (64,))
    assert (recipe.batch_norm, recipe.dropout) == (True, 0.5)
    assert (recipe.optimizer, recipe.learning_rate, recipe.trunk_learning_rate) == ("adam", 1e-4, None)
    assert (recipe.batch_size, recipe.steps_per_epoch, recipe.validation_steps) == (30, 4, 2)
    assert (recipe.epochs, recipe.validation_batch_size, recipe.keep) == (20, 30, "last")
    assert (recipe.preprocessing, recipe.interpolation) == ("caffe", "nearest")


def test_fine_tuning_is_the_textbook_s() -> None:
    recipe = parse_recipe("fine-tuning")
    assert (recipe.cut, recipe.pooling, recipe.hidden_units) == ("block4_pool", "avg", ())
    assert (recipe.batch_norm, recipe.dropout) == (False, 0.0)
    assert (recipe.optimizer, recipe.learning_rate, recipe.trunk_learning_rate) == ("adam", 1e-4, 1e-4)
    assert (recipe.batch_size, recipe.steps_per_epoch, recipe.validation_steps) == (10, 18, 3)
    assert (recipe.epochs, recipe.validation_batch_size, recipe.keep) == (20, 30, "best")
    assert (recipe.preprocessing, recipe.interpolation) == ("none", "nearest")


def test_nothing_asked_is_the_default_preset() -> None:
    assert parse_recipe(None) == parse_recipe({}) == parse_recipe("feature-extraction")


def test_what_is_asked_overrides_the_preset() -> None:
    recipe = parse_recipe({"preset": "fine-tuning", "epochs": 5, "hidden_units": [32, 16]})
    assert (recipe.preset, recipe.epochs, recipe.hidden_units) == ("fine-tuning", 5, (32, 16))


def test_an_earlier_cut_trains_its_tail_at_a_tenth_of_the_rate() -> None:
    assert parse_recipe({"cut": "block4_pool"}).trunk_learning_rate == pytest.approx(1e-5)


@pytest.mark.parametrize("rate", [1, 1e-3])
def test_whatever_has_a_tail_trains_it(rate: float) -> None:
    assert parse_recipe({"cut": "block5_conv1", "learning_rate": rate}).trunk_learning_rate == pytest.approx(rate / 10)
    assert parse_recipe({"preset": "fine-tuning", "learning_rate": rate}).trunk_learning_rate == 1e-4
    assert parse_recipe({"preset": "fine-tuning", "trunk_learning_rate": None}).trunk_learning_rate == 1e-4
    assert parse_recipe({"preset": "fine-tuning", "cut": "block5_pool"}).trunk_learning_rate is None


def test_the_best_epoch_needs_pictures_to_tell_it_by() -> None:
    check_keep(parse_recipe("feature-extraction"), 0)
    check_keep(parse_recipe("fine-tuning"), 1)
    with pytest.raises(InvalidInput, match=r"recipe\.keep 'best' needs validation pictures"):
        check_keep(parse_recipe("fine-tuning"), 0)


def test_a_stored_recipe_can_be_asked_for_again() -> None:
    for preset in ("feature-extraction", "fine-tuning"):
        recipe = parse_recipe(preset)
        assert parse_recipe(recipe.model_dump(mode="json")) == recipe


def test_a_head_of_softmax_alone_drops_the_preset_s_dropout_and_batch_norm() -> None:
    recipe = parse_recipe({"hidden_units": []})
    assert (recipe.hidden_units, recipe.batch_norm, recipe.dropout) == ((), False, 0.0)


def test_only_a_head_on_the_whole_trunk_has_pooled_features() -> None:
    assert parse_recipe({"pooling": "avg"}).feature_pooling == "avg"
    assert parse_recipe("feature-extraction").feature_pooling is None
    assert parse_recipe("fine-tuning").feature_pooling is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"epoch": 5}, "recipe has no field 'epoch'. Its fields are preset, cut,"),
        ({"epochs": 0}, "recipe.epochs: Input should be greater than or equal to 1; received 0."),
        ({"learning_rate": "fast"}, "recipe.learning_rate: Input should be a valid number"),
        ({"learning_rate": float("nan")}, "recipe.learning_rate: "),
        ({"preset": "best"}, "recipe.preset must be one of feature-extraction, fine-tuning; received 'best'."),
        ({"preset": ["fine-tuning"]}, "recipe.preset must be one of"),
        ({"preset": "auto"}, "recipe.preset 'auto' is not built yet"),
        ({"precision": "int8"}, "recipe.precision 'int8' is not built yet"),
        ({"precision": "bfloat16"}, "recipe.precision 'bfloat16' is not built yet"),
        ({"precision": "float16"}, "recipe.precision: Input should be 'float32'; received 'float16'."),
        ({"cut": "block6_pool"}, "cut must be one of input, block1_conv1,"),
        ({"cut": "block1_pool"}, "cut must be block3_pool or a later layer, for now; received block1_pool."),
        ({"epochs": "5"}, "recipe.epochs: Input should be a valid integer; received '5'."),
        ({"epochs": True}, "recipe.epochs: Input should be a valid integer; received True."),
        ({"trunk_learning_rate": 1e-4}, "trunk_learning_rate belongs to convolutions after the cut"),
        ({"cut": "block5_conv3", "trunk_learning_rate": 1e-4}, "trunk_learning_rate belongs to convolutions after"),
        ({"hidden_units": [], "dropout": 0.5}, "batch_norm and dropout follow a hidden layer"),
        ({"hidden_units": 64}, "recipe.hidden_units must be a list, as [64] is; received 64."),
        ({"hidden_units": [0]}, "recipe.hidden_units.0: Input should be greater than or equal to 1; received 0."),
    ],
)
def test_a_bad_request_is_refused_by_the_field_s_name(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        parse_recipe(asked)
    assert message in str(refused.value)


@pytest.mark.parametrize("field", NOT_BUILT_FIELDS)
def test_a_field_of_a_later_release_says_so(field: str) -> None:
    with pytest.raises(InvalidFields, match=f"recipe.{field} is not built yet"):
        parse_recipe({field: 1})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*Recipe.model_fields]) | st.text(max_size=10), json_values, max_size=5))
def test_any_request_is_resolved_or_refused_and_a_recipe_survives_json(asked: dict[str, Any]) -> None:
    try:
        recipe = parse_recipe(asked)
    except InvalidFields:
        return
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
