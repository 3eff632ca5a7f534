from typing import Any

import pytest

from graft.training.plan.costs import Cost, Rates, cost
from graft.training.presets import RecipeRequest
from graft.vgg16.layers import INPUT, LAST, multiply_adds

RATES = Rates(trunk=1e9, step=2e9, decode=0.5, head=0.25)
PICTURES = {"train": 100, "validation": 20, "test": 10}
TAIL, TRUNK = multiply_adds("block4_pool", LAST), multiply_adds(INPUT, "block4_pool")


def cost_of(lacking: int = 0, kept: float = 1.0, **asked: Any) -> Cost:
    asked = {"cut": "block4_pool", "batch_size": 30, **asked}
    return cost(RecipeRequest.parse({"preset": "auto", **asked}).resolve(), PICTURES, lacking, kept, RATES)


def test_an_epoch_is_its_steps_and_its_validation() -> None:
    assert cost_of().epoch == pytest.approx(100 * 3 * TAIL / 2e9 + 4 * 0.25 + 20 * TAIL / 1e9)
    assert cost_of().evaluation == pytest.approx(30 * TAIL / 1e9)
    assert cost_of().extraction == 0


def test_extraction_is_of_what_is_lacking() -> None:
    assert cost_of(lacking=7).extraction == pytest.approx(7 * (0.5 + TRUNK / 1e9))


def test_an_epoch_of_so_many_steps() -> None:
    drawn = cost_of(steps_per_epoch=2, validation_steps=1, validation_batch_size=5)
    assert drawn.epoch == pytest.approx(60 * 3 * TAIL / 2e9 + 2 * 0.25 + 5 * TAIL / 1e9)


def test_what_is_not_kept_is_computed_every_time() -> None:
    again, once = cost_of(kept=0.75), cost_of()
    a_quarter = (0.5 + TRUNK / 1e9) / 4
    assert again.epoch - once.epoch == pytest.approx(120 * a_quarter)
    assert again.evaluation - once.evaluation == pytest.approx(30 * a_quarter)


def test_no_views_means_new_ones_each_epoch() -> None:
    fresh = cost_of(augmentation={"flip": "horizontal", "views": 0})
    assert fresh.epoch - cost_of().epoch == pytest.approx(100 * (0.5 + TRUNK / 1e9))
    assert cost_of(augmentation={"flip": "horizontal"}).epoch == pytest.approx(cost_of().epoch)


def test_epochs_within_a_time() -> None:
    price = Cost(extraction=100, epoch=10, evaluation=5)
    assert price.of(3) == 135
    assert [price.epochs_within(seconds) for seconds in (50, 134, 135, 1000)] == [0, 2, 3, 89]
