from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.training.plan.costs import Rates, cost
from graft.training.plan.probes import Probe
from graft.training.plan.rules import CUTS, LEAST_EPOCHS, Choice, Data, choose, rule
from graft.training.presets import RecipeRequest, check_validation
from graft.training.recipe import Recipe
from graft.vgg16.layers import position

RATES = Rates(trunk=237e9, step=212e9, decode=0.002, head=0.002)  # two cores at bfloat16
SIGNS = Data({"train": 1712, "validation": 300, "test": 50}, [171] * 10)
FEW = Data({"train": 300, "validation": 60, "test": 0}, [100] * 3)


def probes(block3: float, block4: float, block5: float, pictures: int = 1000) -> dict[str, Probe]:
    """The same pictures are easy for all of them, and the hard ones hard."""
    right = {"block3_pool": block3, "block4_pool": block4, "block5_pool": block5}
    return {cut: Probe(np.arange(pictures) < share * pictures) for cut, share in right.items()}


NEAR, FAR = probes(0.7, 0.8, 0.9), probes(0.87, 0.95, 0.91)


def chosen(
    asked: Mapping[str, Any] | None = None, data: Data = SIGNS, probed: Mapping[str, Probe] = FAR, spent: float = 0.0
) -> Choice:
    def price(recipe: Recipe) -> Any:
        return cost(recipe, data.pictures, sum(data.pictures.values()), 1.0, RATES)

    return choose(RecipeRequest.parse({"preset": "auto", **(asked or {})}), data, probed, price, spent)


@pytest.mark.parametrize(
    ("data", "probed", "cut"),
    [
        (FEW, NEAR, "block5_pool"),
        (SIGNS, NEAR, "block4_pool"),
        (FEW, FAR, "block4_pool"),
        (SIGNS, FAR, "block4_pool"),
        (SIGNS, probes(0.95, 0.9, 0.8), "block3_pool"),
        (SIGNS, probes(0.8, 0.8, 0.8), "block4_pool"),
        (SIGNS, probes(0.99, 0.995, 0.992), "block5_pool"),
    ],
    ids=["few, near", "many, near", "few, far", "many, far", "farther", "all alike", "nothing to learn"],
)
def test_the_rule(data: Data, probed: Mapping[str, Probe], cut: str) -> None:
    assert rule(data, probed)[0] == cut
    assert chosen(data=data, probed=probed).chosen.recipe.cut == cut


def test_a_lead_within_the_error_is_none() -> None:
    right = np.zeros((2, 100), bool)
    right[:, :80], right[0, 80:90], right[1, 90:98] = True, True, True
    close = {"block3_pool": Probe(right[1]), "block4_pool": Probe(right[1]), "block5_pool": Probe(right[0])}
    assert rule(FEW, close)[0] == "block4_pool"


def test_the_sign_language_digits_are_done_in_six_minutes() -> None:
    choice = chosen()
    assert (choice.chosen.recipe.cut, choice.chosen.recipe.epochs) == ("block4_pool", 4)
    assert choice.chosen.seconds < 330
    assert {candidate.cut: candidate.fits for candidate in choice.candidates} == dict.fromkeys(CUTS, True)


@given(budget=st.integers(10, 5000), spent=st.floats(0, 100), pictures=st.integers(10, 100_000), farther=st.booleans())
def test_the_budget_moves_the_cut_towards_the_head_only_as_far_as_it_must(
    budget: int, spent: float, pictures: int, farther: bool
) -> None:
    data = Data({"train": pictures, "validation": pictures // 5, "test": 0}, [pictures // 2, pictures - pictures // 2])
    probed = probes(0.95, 0.9, 0.8) if farther else FAR
    choice = chosen({"time_budget": budget}, data, probed, spent)
    order = [candidate.cut for candidate in choice.candidates]
    wanted, got = order.index(rule(data, probed)[0]), order.index(choice.chosen.cut)
    assert got <= wanted
    assert not any(candidate.fits for candidate in choice.candidates[got + 1 : wanted + 1])
    assert choice.chosen.fits or got == 0
    if choice.chosen.fits:
        assert choice.chosen.seconds <= budget - spent + 1e-6
        assert choice.chosen.recipe.epochs >= LEAST_EPOCHS
    else:
        assert any("the training ends after" in reason for reason in choice.reasons)


def test_what_was_asked_for_is_kept_and_said() -> None:
    choice = chosen({"cut": "block2_pool", "epochs": 7, "pooling": "max", "trunk_learning_rate": 1e-5}, probed={})
    recipe = choice.chosen.recipe
    assert (recipe.cut, recipe.epochs, recipe.pooling, recipe.trunk_learning_rate) == ("block2_pool", 7, "max", 1e-5)
    assert "You asked for the cut block2_pool." in choice.reasons
    assert "As you asked: epochs, pooling, trunk_learning_rate." in choice.reasons
    assert choice.candidates[0].recipe.trunk_learning_rate is None


def test_without_a_budget_everything_fits() -> None:
    choice = chosen({"time_budget": None, "epochs": 500})
    assert (choice.chosen.cut, choice.chosen.recipe.epochs) == ("block4_pool", 500)
    assert all(candidate.fits for candidate in choice.candidates)
    assert not any("time_budget" in reason for reason in choice.reasons if not reason.startswith("As you asked"))


def test_a_budget_without_room_for_the_epochs_that_were_asked_for_says_how_many() -> None:
    choice = chosen({"time_budget": 300, "epochs": 50})
    assert choice.chosen.cut == "block5_pool"
    assert any("no room for 50 epochs from block4_pool" in reason for reason in choice.reasons)


def test_a_cut_within_a_block_is_a_candidate_too() -> None:
    choice = chosen({"cut": "block5_conv1", "time_budget": 10}, probed={})
    assert [c.cut for c in choice.candidates] == ["block5_pool", "block5_conv1", *CUTS[1:]]
    assert choice.chosen.cut == "block5_conv1"
    assert not choice.chosen.fits


def test_a_tail_s_learning_rate_waits_for_a_tail() -> None:
    asked = {"trunk_learning_rate": 1e-5}
    assert chosen(asked, FEW, NEAR).chosen.recipe.trunk_learning_rate is None
    assert chosen(asked, FEW, FAR).chosen.recipe.trunk_learning_rate == 1e-5


def test_without_validation_pictures_the_last_epoch_is_kept() -> None:
    recipe = chosen(data=Data({"train": 1712, "validation": 0, "test": 0}, [171] * 10)).chosen.recipe
    check_validation(recipe, 0)
    assert recipe.keep == "last"
    assert chosen().chosen.recipe.keep == "best"
    unwatched = chosen(data=Data({"train": 300, "validation": 0, "test": 0}, [100] * 3), probed=NEAR).chosen.recipe
    assert (unwatched.cut, unwatched.epochs) == ("block5_pool", 30)


def test_classes_of_unlike_size_are_balanced() -> None:
    unlike = Data(SIGNS.pictures, [1000, 412, 300])
    assert chosen(data=unlike).chosen.recipe.class_weights == "balanced"
    assert chosen({"class_weights": "none"}, unlike).chosen.recipe.class_weights == "none"
    assert chosen().chosen.recipe.class_weights == "none"


@pytest.mark.parametrize(
    ("asked", "rate"),
    [({}, 1e-2), ({"hidden_units": [64]}, 1e-3), ({"pooling": "flatten"}, 1e-4), ({"learning_rate": 0.5}, 0.5)],
)
def test_a_head_alone_learns_at_the_rate_of_its_kind(asked: dict[str, Any], rate: float) -> None:
    assert chosen(asked, FEW, NEAR).chosen.recipe.learning_rate == rate
    tail = chosen(asked, FEW, FAR).chosen.recipe
    assert tail.learning_rate == asked.get("learning_rate", 1e-3)
    assert tail.trunk_learning_rate == pytest.approx(tail.learning_rate / 10)


def test_flatten_is_for_the_head_alone() -> None:
    request = RecipeRequest.parse("auto")
    choice = choose(request, FEW, NEAR, lambda r: cost(r, FEW.pictures, 0, 1.0, RATES), flatten=True)
    pooling = {candidate.cut: candidate.recipe.pooling for candidate in choice.candidates}
    assert pooling == {cut: "flatten" if cut == "block5_pool" else "avg" for cut in CUTS}


def test_every_candidate_is_said_in_numbers() -> None:
    rows = [candidate.as_dict() for candidate in chosen().candidates]
    assert [row["cut"] for row in rows] == sorted(CUTS, key=position, reverse=True)
    assert [row["frozen_convolutions"] for row in rows] == [13, 10, 7, 4, 2, 0]
    assert [row["trainable_parameters"] for row in rows] == sorted(row["trainable_parameters"] for row in rows)
    assert [row["probe_accuracy"] for row in rows] == [0.91, 0.95, 0.87, None, None, None]
