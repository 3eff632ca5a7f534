import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.training.sampling import Batches

sizes = {
    "pictures": st.integers(1, 50),
    "batch_size": st.integers(1, 60),
    "seed": st.integers(0, 2**31 - 1),
    "stream": st.integers(0, 3),
}


def drawn(batches: Batches, epochs: int) -> np.ndarray:
    return np.concatenate([batches.batch(epoch, step) for epoch in range(epochs) for step in range(batches.steps)])


@given(st.builds(Batches, steps_per_epoch=st.none(), **sizes))
def test_a_whole_epoch_shows_every_picture_once(batches: Batches) -> None:
    assert sorted(drawn(batches, 1)) == list(range(batches.pictures))


@given(st.builds(Batches, steps_per_epoch=st.integers(1, 5), **sizes))
def test_shuffles_follow_one_another_across_epochs(batches: Batches) -> None:
    order = drawn(batches, 3)
    assert len(order) == 3 * batches.steps * batches.batch_size
    rounds = [order[i : i + batches.pictures] for i in range(0, len(order), batches.pictures)]
    for whole in rounds[:-1]:
        assert sorted(whole) == list(range(batches.pictures))
    assert len(set(rounds[-1])) == len(rounds[-1])


@given(st.builds(Batches, steps_per_epoch=st.none() | st.integers(1, 5), **sizes))
def test_a_batch_depends_on_epoch_and_step_alone(batches: Batches) -> None:
    late = batches.batch(7, batches.steps - 1)
    drawn(batches, 2)
    np.testing.assert_array_equal(batches.batch(7, batches.steps - 1), late)


@pytest.mark.parametrize("other", [Batches(40, 40, None, 2, 0), Batches(40, 40, None, 1, 1)])
def test_another_seed_or_stream_draws_another_order(other: Batches) -> None:
    assert not np.array_equal(Batches(40, 40, None, 1, 0).batch(0, 0), other.batch(0, 0))
