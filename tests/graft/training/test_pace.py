from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.training.pace import Pace, Work
from tests.clocks import Clock

seconds = st.floats(0.001, 1000)


def test_the_first_lap_counts_only_until_there_is_another() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.rate is None
    clock.now += 10
    pace.lap(20)
    assert pace.rate == 2
    clock.now += 1
    pace.lap(20)
    assert pace.rate == 20


def test_what_lies_between_two_laps_does_not_count() -> None:
    clock = Clock()
    pace = Pace(clock)
    for _ in range(3):
        clock.now += 100
        pace.begin()
        clock.now += 2
        pace.lap(8)
    assert pace.rate == 4


@given(st.lists(st.tuples(st.integers(1, 100), seconds), min_size=2, max_size=30))
def test_the_pace_lies_between_the_slowest_and_the_fastest_lap(laps: list[tuple[int, float]]) -> None:
    clock = Clock()
    pace = Pace(clock)
    for pictures, took in laps:
        clock.now += took
        pace.lap(pictures)
    rates = [pictures / took for pictures, took in laps[1:]]
    assert pace.rate is not None
    assert min(rates) * 0.999 <= pace.rate <= max(rates) * 1.001


def test_a_machine_that_has_become_slower_shows_within_minutes() -> None:
    clock = Clock()
    pace = Pace(clock)
    for rate in [10] * 600 + [5] * 180:
        clock.now += 1
        pace.lap(rate)
    assert pace.rate == pytest.approx(5, rel=0.15)


WORK = Work(epochs=10, training=100, validation=20, evaluation=30, time_budget=None)


def test_what_is_left_counts_validation_and_evaluation_in() -> None:
    # 10 s and 0.5 s an epoch; at the end 0.75 s
    assert WORK.seconds_left(0, 0, 0, 10, 40) == pytest.approx(10 * 10.5 + 0.75)
    assert WORK.seconds_left(9, 100, 95, 10, 40) == pytest.approx(0.5 + 0.75)


def test_a_validation_not_yet_measured_goes_three_times_as_fast_as_a_step() -> None:
    assert WORK.seconds_left(0, 50, 0, 10, None) == WORK.seconds_left(0, 50, 0, 10, 30)


@given(
    epoch=st.integers(0, 9),
    seen=st.integers(0, 100),
    budget=st.integers(10, 500),
    spent=st.floats(0, 500),
    rates=st.tuples(seconds, seconds),
)
def test_a_time_budget_ends_it_after_the_epoch_in_which_it_runs_out(
    epoch: int, seen: int, budget: int, spent: float, rates: tuple[float, float]
) -> None:
    whole = 100 / rates[0] + 20 / rates[1]
    ends = spent + whole - seen / rates[0]
    for _ in range(epoch, 9):
        ends += whole if ends < budget else 0
    left = replace(WORK, time_budget=budget).seconds_left(epoch, seen, spent, *rates)
    assert left == pytest.approx(ends - spent + 30 / rates[1], rel=1e-6)
