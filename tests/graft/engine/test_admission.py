import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.engine.admission import CAUTION, MOST_WAITING, Admission
from graft.errors import Unavailable

SECOND = 1000  # multiply-adds that the device of these tests does in a second


def admission(devices: int = 1) -> Admission:
    made = Admission(devices)
    made.learn(SECOND, 1.0)
    return made


def test_before_anything_was_measured_everything_is_taken() -> None:
    with Admission().admit(10**18, 0.001, pictures=1):
        pass


def test_what_would_be_late_is_refused_at_once_with_the_time_to_ask_again() -> None:
    busy = admission()
    with busy.admit(4 * SECOND, seconds=10, pictures=4):
        with pytest.raises(Unavailable, match=r"within 3 s; what waits before this one takes about 5\.0 s") as error:
            busy.admit(SECOND, seconds=3, pictures=1)
        assert error.value.retry_after == 4  # 5 s of cautious estimates, and its own 1.25 s, less the 3 s it has
        busy.admit(SECOND, seconds=7, pictures=1)


def test_where_nothing_waits_it_is_tried_whatever_the_estimate() -> None:
    slow = admission()
    with slow.admit(1000 * SECOND, seconds=2, pictures=1), pytest.raises(Unavailable, match="the service is busy"):
        slow.check(SECOND, seconds=1000)


def test_two_devices_wait_half_as_long() -> None:
    one, two = admission(1), admission(2)
    one.admit(8 * SECOND, seconds=100, pictures=8)
    two.admit(8 * SECOND, seconds=100, pictures=8)
    assert one.wait(0) == 8 * CAUTION
    assert two.wait(0) == 4 * CAUTION


def test_the_rate_follows_what_is_measured() -> None:
    slower = admission()
    for _ in range(50):
        slower.learn(SECOND, 2.0)
    assert slower.estimate(SECOND) == pytest.approx(2.0, rel=0.01)


def test_one_batch_that_was_stopped_or_compiled_something_is_no_rate() -> None:
    """A minute for a hundredth of the usual work."""
    surprised = admission()
    surprised.learn(SECOND / 100, 60.0)
    assert surprised.estimate(SECOND) < 1.1


def test_shallow_layers_are_weighed_by_their_work() -> None:
    """They take ten times as long for each multiply-add, which what the whole trunk takes must hardly feel."""
    mixed = admission()
    for _ in range(30):
        mixed.learn(SECOND / 200, 0.05)
        mixed.learn(SECOND, 1.0)
    assert 1 <= mixed.estimate(SECOND) < 1.06


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.integers(1, 10**6)), min_size=1))
def test_whatever_clocks_say_the_rate_is_none_below_zero(batches: list[tuple[float, float, int]]) -> None:
    odd = admission()
    for began, ended, work in batches:
        odd.ran(work, began, ended, "CPU:0")
    assert odd.estimate(1) >= 0


def test_batches_that_overlap_on_a_device_count_once() -> None:
    """Two lanes, each with a batch of two seconds, one ending every second: a second for each."""
    lanes = Admission()
    lanes.ran(SECOND, 0.0, 1.0, "CPU:0")
    for i in range(1, 20):
        lanes.ran(SECOND, i - 1.0, i + 1.0, "CPU:0")
    assert lanes.estimate(SECOND) == pytest.approx(1.0)


def test_with_more_lanes_one_must_begin_sooner() -> None:
    two = Admission(lanes=2)
    two.learn(SECOND, 1.0)
    assert two.latest_start(3 * SECOND, deadline=100) == 94


def test_pictures_that_wait_are_bounded_however_fast_the_device_is() -> None:
    fast = Admission()
    with fast.admit(1, 30, MOST_WAITING), pytest.raises(Unavailable, match=f"At most {MOST_WAITING} pictures wait"):
        fast.check(1, seconds=30)
    fast.check(1, seconds=30)


@given(
    st.lists(
        st.tuples(st.lists(st.integers(1, 10**9), min_size=1, max_size=5), st.integers(0, 7), st.booleans()), max_size=8
    )
)
def test_nothing_is_left_waiting_whatever_is_done_before_and_after_the_end(
    calls: list[tuple[list[int], int, bool]],
) -> None:
    """Of each call some pictures are done in time, and the rest when it has given up."""
    everything = Admission()
    everything.learn(10**9, 1.0)
    for works, done, late in calls:
        with everything.admit(sum(works), seconds=10**9, pictures=len(works)) as place:
            for work in works[:done]:
                place.done(work)
            left = sum(works[done:])
            assert everything.wait(0) == pytest.approx(left / 10**9 * CAUTION)
        if late:
            for work in works[done:]:
                place.done(work)
    assert everything.wait(0) == 0
    everything.check(1, seconds=10**9, pictures=MOST_WAITING)
