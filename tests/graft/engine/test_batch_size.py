import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.engine.batch_size import best_batch_size

SIZES = (1, 2, 4, 8, 16, 32)


class Device:
    """Takes its own time for a batch: `seconds` by size."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self._seconds = seconds
        self.now = 0.0
        self.ran: list[int] = []

    def run(self, size: int) -> None:
        self.ran.append(size)
        self.now += self._seconds[size]

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("milliseconds_each", "best"),
    [
        ((100, 100, 100, 100, 100, 100), 1),
        ((100, 98, 97.5, 97.5, 97.5, 97.5), 1),
        ((100, 97.25, 96, 95.5, 95.5, 95.5), 2),
        ((100, 90, 88, 88, 88, 88), 2),
        ((100, 60, 40, 30, 25, 24.5), 16),
        ((100, 110, 120, 130, 140, 150), 1),
    ],
)
def test_the_smallest_that_is_about_as_fast_as_the_best(milliseconds_each: tuple[float, ...], best: int) -> None:
    device = Device({size: size * each for size, each in zip(SIZES, milliseconds_each, strict=True)})
    size, each = best_batch_size(device.run, SIZES, clock=device.clock)
    assert (size, each) == (best, milliseconds_each[SIZES.index(best)])


def test_where_more_brings_nothing_no_more_is_tried() -> None:
    device = Device({size: size * 1.0 for size in SIZES})
    best_batch_size(device.run, SIZES, clock=device.clock)
    assert max(device.ran) == 2


@given(st.lists(st.floats(1, 100), min_size=len(SIZES), max_size=len(SIZES)))
def test_of_those_tried_none_is_3_percent_faster_and_no_smaller_one_as_fast(each: list[float]) -> None:
    device = Device({size: size * seconds for size, seconds in zip(SIZES, each, strict=True)})
    size, seconds = best_batch_size(device.run, SIZES, clock=device.clock)
    tried = {tried: each[SIZES.index(tried)] for tried in set(device.ran)}
    assert seconds == pytest.approx(tried[size])
    assert all(0.97 * seconds <= other * (1 + 1e-9) for other in tried.values())
    assert all(0.97 * other > min(tried.values()) * (1 - 1e-9) for smaller, other in tried.items() if smaller < size)
