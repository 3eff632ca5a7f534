from collections.abc import Callable
from typing import Any

import pytest

from graft.training.plan.rates import measure, seconds, training_step
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.vgg16.layers import INPUT, LAST, multiply_adds


class Clock:
    """Goes on only where somebody works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.runs = 0

    def __call__(self) -> float:
        return self.now

    def work(self, *took: float) -> Callable[[], None]:
        """The last of these from then on."""
        left = list(took)

        def run() -> None:
            self.runs += 1
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def recipe(**asked: object) -> Recipe:
    return RecipeRequest.parse({"preset": "auto", **asked}).resolve().at("float32")


@pytest.mark.parametrize(
    ("took", "median", "runs"),
    [((9.0, 1.0, 2.0), 1.5, 3), ((9.0, 0.125, 0.125, 0.25, 0.1), 0.125, 4), ((5.0, 0.25), 0.25, 3)],
)
def test_the_run_that_compiles_does_not_count_and_half_a_second_is_enough(
    took: tuple[float, ...], median: float, runs: int
) -> None:
    clock = Clock()
    assert seconds(clock.work(*took), clock) == pytest.approx(median)
    assert clock.runs == runs


def test_rates_are_read_from_what_took_how_long() -> None:
    clock, tail = Clock(), recipe(cut="block4_pool")

    def step(recipe: Recipe, batch: int) -> Callable[[], None]:
        return clock.work(0.1 if recipe.cut == LAST else 0.1 + batch * 0.02)

    measured = measure(16, clock.work(0.16), clock.work(16 * 0.06), recipe(cut=LAST), tail, step, clock)
    assert measured.decode == pytest.approx(0.01)
    assert measured.trunk == pytest.approx(multiply_adds(INPUT, LAST) / 0.05)
    assert measured.step == pytest.approx(3 * multiply_adds("block4_pool", LAST) / 0.02)
    assert measured.head == pytest.approx(0.1)


def test_convolutions_take_time_even_where_the_clock_says_that_they_do_not() -> None:
    clock, tail = Clock(), recipe(cut="block4_pool")
    measured = measure(1, clock.work(0.1), clock.work(0.2), recipe(cut=LAST), tail, lambda *_: clock.work(0.1), clock)
    batch = 31  # STEP_MULTIPLY_ADDS / (3 x those after block4_pool)
    assert measured.step == pytest.approx(3 * batch * multiply_adds("block4_pool", LAST) / 0.01, rel=0.1)


@pytest.mark.parametrize(
    "asked",
    [
        {"cut": LAST, "hidden_units": [8], "dropout": 0.5},
        {"cut": "block5_conv3"},
        {"pooling": "flatten", "class_weights": "balanced"},
    ],
)
def test_the_step_that_is_timed_is_one_that_trains(asked: dict[str, Any]) -> None:
    done = training_step(3, recipe(**asked), 4)()
    assert isinstance(done, tuple)
    assert done[0] > 0
