from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.training.plan.probes import FOLDS, Probe, probe, stratified_folds, stratified_sample

Array = npt.NDArray[np.float32]


def blobs(pictures: int, width: int, distance: float, seed: int = 0) -> tuple[Array, npt.NDArray[np.int64]]:
    """Three classes whose means lie about so far apart, in deviations of each feature."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, pictures)
    means = rng.normal(0, distance / np.sqrt(2 * width), (3, width))
    return (rng.normal(0, 1, (pictures, width)) + means[labels]).astype(np.float32), labels


@pytest.mark.parametrize("width", [20, 400], ids=["more pictures than numbers", "more numbers than pictures"])
def test_what_lies_apart_is_told_apart_and_noise_is_not(width: int) -> None:
    near, labels = blobs(200, width, 12.0)
    assert probe(near, labels, 0).accuracy > 0.97
    noise, labels = blobs(200, width, 0.0)
    assert probe(noise, labels, 0).accuracy == pytest.approx(1 / 3, abs=0.12)


def test_both_ways_to_the_principal_axes_give_the_same_answers() -> None:
    """A column of zeros more or less decides which one is taken."""
    features, labels = blobs(125, 100, 4.0)  # 100 pictures in the training folds
    wide = np.hstack([features, np.zeros((125, 1), np.float32)])
    np.testing.assert_array_equal(probe(features, labels, 0).right, probe(wide, labels, 0).right)


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100), seed=st.integers(0, 9))
def test_the_unit_of_a_feature_does_not_count(scale: float, shift: float, seed: int) -> None:
    features, labels = blobs(60, 5, 3.0, seed)
    other = features.astype(np.float64) * [scale, 1, 1, 1, 1] + [shift, 0, 0, 0, 0]
    agree = probe(features.astype(np.float64), labels, seed).right == probe(other, labels, seed).right
    assert agree.mean() > 0.95


def test_the_same_seed_answers_the_same() -> None:
    features, labels = blobs(90, 30, 2.0)
    np.testing.assert_array_equal(probe(features, labels, 3).right, probe(features, labels, 3).right)


def test_few_pictures_and_features_that_never_vary_are_no_trouble() -> None:
    assert not probe(np.array([[0.0], [1.0]]), np.array([0, 1]), 0).right.any()
    constant = probe(np.ones((12, 4), np.float32), np.arange(12) % 2, 0)
    assert 0 <= constant.accuracy <= 1


def test_a_probe_never_sees_the_pictures_that_it_tells() -> None:
    """Labels that say nothing: whoever had seen them would be right all the same, with more numbers than pictures."""
    rng = np.random.default_rng(0)
    told = probe(rng.normal(0, 1, (200, 500)).astype(np.float32), rng.integers(0, 2, 200), 0)
    assert told.accuracy == pytest.approx(0.5, abs=0.12)


def test_the_error_is_the_accuracy_s_and_a_lead_counts_only_where_two_differ() -> None:
    one = Probe(np.array([True] * 90 + [False] * 10))
    other = Probe(np.array([True] * 86 + [False] * 14))
    assert one.error == pytest.approx(0.03)
    lead, error = one.lead(other)
    assert lead == pytest.approx(0.04)
    assert error == pytest.approx(np.sqrt(0.04 * 0.96 / 100))
    assert one.lead(one) == (0.0, 0.0)


LABELS = st.lists(st.integers(0, 4), min_size=2, max_size=200)


@given(labels=LABELS, seed=st.integers(0, 3))
def test_each_fold_has_its_share_of_each_class(labels: Sequence[int], seed: int) -> None:
    of = np.array(labels)
    folds = stratified_folds(of, seed)
    for label in np.unique(of):
        counts = np.bincount(folds[of == label], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
    counts = np.bincount(folds, minlength=FOLDS)
    assert counts.max() - counts.min() <= 1


@given(labels=LABELS, most=st.integers(1, 100), seed=st.integers(0, 3))
def test_a_sample_has_its_share_of_each_class(labels: Sequence[int], most: int, seed: int) -> None:
    of = np.array(labels)
    sample = stratified_sample(of, most, seed)
    assert len(sample) == min(most, len(of))
    assert (np.diff(sample) > 0).all()
    for label in np.unique(of):
        share = (of == label).mean() * len(sample)
        assert abs((of[sample] == label).sum() - share) <= 1 + np.unique(of).size / 2
