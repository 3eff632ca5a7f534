"""Recipes that start from a version: what they take over, and what does not fit."""

from typing import Any

import pytest

from graft.errors import InvalidFields
from graft.registry import ModelCard
from graft.training.origin import check_fits, continued
from graft.training.presets import PRESETS, RecipeRequest
from graft.types import InputKey
from graft.vgg16.layers import HeadSpec
from graft.vgg16.weight_files import TRUNK_DIGEST
from tests.graft.registry.versions import card_of

CARD = card_of("signs", 3, "job_1").model_copy(
    update={
        "trunk_digest": TRUNK_DIGEST,
        "cut": "block4_pool",
        "head": HeadSpec("max", (32,), batch_norm=True, dropout=0.25, classes=3),
        "input": InputKey("bilinear", "none", "bfloat16"),
    }
)


def asked(card: ModelCard = CARD, **fields: Any) -> dict[str, Any]:
    """The recipe that comes of it."""
    request = continued(RecipeRequest.parse({"init": "signs:3", **fields}), card)
    assert request.stored() == request.resolve().model_dump(mode="json")
    assert not request.open
    return request.stored()


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_not_asked_for_is_the_version_s_and_the_rest_the_preset_s(preset: str) -> None:
    recipe = asked(preset=preset)
    assert (recipe["preset"], recipe["init"], recipe["cut"]) == (preset, "signs:3", "block4_pool")
    assert (recipe["pooling"], recipe["hidden_units"], recipe["batch_norm"], recipe["dropout"]) == (
        "max",
        [32],
        True,
        0.25,
    )
    assert (recipe["interpolation"], recipe["preprocessing"], recipe["precision"]) == ("bilinear", "none", "auto")
    learned = PRESETS[preset]["learning_rate"]  # type: ignore[index]
    assert recipe["trunk_learning_rate"] == (1e-4 if preset == "fine-tuning" else pytest.approx(learned / 10))


def test_what_is_asked_for_holds_where_it_goes_with_the_version_s_weights() -> None:
    recipe = asked(cut="block3_pool", dropout=0.0, interpolation="nearest", trunk_learning_rate=1e-6)
    assert (recipe["cut"], recipe["dropout"], recipe["interpolation"]) == ("block3_pool", 0.0, "nearest")
    assert recipe["trunk_learning_rate"] == 1e-6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"cut": "block5_pool"},
            "recipe.cut must be block4_pool or an earlier layer, as init signs:3 has changed those",
        ),
        ({"cut": "block5_conv1"}, "received block5_conv1. Leave it out."),
        ({"pooling": "avg"}, "recipe.pooling must be 'max', which init signs:3 was trained with; received 'avg'."),
        ({"hidden_units": [32, 32]}, "recipe.hidden_units must be [32], which"),
        ({"batch_norm": False}, "recipe.batch_norm must be True, which"),
        ({"preprocessing": "caffe"}, "recipe.preprocessing must be 'none', which"),
    ],
)
def test_what_does_not_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidFields) as refusal:
        asked(**fields)
    assert message in str(refusal.value)


def test_a_version_on_another_trunk_is_refused() -> None:
    recipe = RecipeRequest.parse(asked()).resolve()
    check_fits(recipe, CARD)
    with pytest.raises(InvalidFields, match="on this service's trunk"):
        check_fits(recipe, CARD.model_copy(update={"trunk_digest": "0" * 64}))
