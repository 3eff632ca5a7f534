"""The temperature and the calibration error, against numbers worked by hand and what must hold for any logits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from graft.training.calibration import (
    COLDEST,
    HOTTEST,
    expected_calibration_error,
    fitted_temperature,
    negative_log_likelihood,
    reliability,
)
from graft.vgg16.labels import probabilities


def drawn(n: int, classes: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a model that would be perfectly calibrated at that temperature, and the pictures' labels."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 2, (n, classes))
    shares = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, classes - 1)
    return (honest * temperature).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 10.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_the_temperature_of_drawn_labels_is_found(temperature: float, classes: int) -> None:
    logits, labels = drawn(4000, classes, temperature)
    assert fitted_temperature(logits, labels) == pytest.approx(temperature, rel=0.1)


def test_it_mends_pictures_that_it_was_not_fitted_on() -> None:
    temperature = fitted_temperature(*drawn(300, 10, 3.0, seed=1))
    logits, labels = drawn(4000, 10, 3.0, seed=2)
    before = expected_calibration_error(probabilities(logits), labels)
    after = expected_calibration_error(probabilities(logits, temperature), labels)
    assert after < before / 4
    assert negative_log_likelihood(logits, labels, temperature) < negative_log_likelihood(logits, labels)


def test_a_model_without_a_mistake_is_made_no_surer_than_its_pictures_show() -> None:
    """By likelihood alone, the coldest temperature would be the best one."""
    labels = np.arange(100) % 4
    logits = np.eye(4, dtype=np.float32)[labels]  # 48 % sure of each
    temperature = fitted_temperature(logits, labels)
    assert 2 * COLDEST < temperature < 0.5
    assert probabilities(logits, temperature).max() == pytest.approx(101 / 102, abs=0.01)
    assert fitted_temperature(logits * 50, labels) == 1.0  # sure already


@pytest.mark.parametrize(
    ("pictures", "classes", "fitted"),
    [(49, 2, False), (50, 2, True), (119, 60, False), (120, 60, True), (500, 1, False)],
)
def test_too_few_pictures_leave_it_at_1(pictures: int, classes: int, fitted: bool) -> None:
    logits, labels = drawn(pictures, classes, 5.0)
    assert (fitted_temperature(logits, labels) != 1.0) == fitted


logits_and_labels = st.integers(2, 4).flatmap(
    lambda c: st.integers(50, 60).flatmap(
        lambda n: st.tuples(
            arrays(np.float32, (n, c), elements=st.floats(-30, 30, width=16)),
            arrays(np.int64, n, elements=st.integers(0, c - 1)),
        )
    )
)


@given(logits_and_labels)
def test_it_never_makes_the_validation_pictures_less_likely(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case
    temperature = fitted_temperature(logits, labels)
    assert COLDEST <= temperature <= HOTTEST
    assert negative_log_likelihood(logits, labels, temperature) <= negative_log_likelihood(logits, labels)
    assert fitted_temperature(logits, labels) == temperature
    if temperature != 1:
        assert (probabilities(logits, temperature).argmax(1) == logits.argmax(1)).all() or np.ptp(
            logits, axis=1
        ).min() < 1e-3


def test_the_likelihood_is_exact_where_probabilities_would_be_0() -> None:
    assert negative_log_likelihood(np.array([[0, 2000]], np.float32), np.array([0]), 2.0) == 1000


def test_calibration_worked_by_hand() -> None:
    # Of four pictures at 0.9 three are right, of two at 0.6 none: (4 * 0.15 + 2 * 0.6) / 6.
    shares = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert expected_calibration_error(shares, labels) == pytest.approx(0.3)
    table = reliability(shares, labels)
    assert len(table) == 15
    assert table[8] == {"from": 8 / 15, "to": 9 / 15, "pictures": 2, "confidence": pytest.approx(0.6), "accuracy": 0.0}
    assert table[13] == {
        "from": 13 / 15,
        "to": 14 / 15,
        "pictures": 4,
        "confidence": pytest.approx(0.9),
        "accuracy": 0.75,
    }
    assert table[0] == {"from": 0.0, "to": 1 / 15, "pictures": 0, "confidence": None, "accuracy": None}


def test_certainty_is_in_the_last_range() -> None:
    table = reliability(np.array([[1.0, 0.0]], np.float32), np.array([0]))
    assert (table[-1]["pictures"], table[-1]["accuracy"]) == (1, 1.0)


@given(logits_and_labels)
def test_the_error_is_a_share_and_the_table_counts_every_picture(case: tuple[np.ndarray, np.ndarray]) -> None:
    shares, labels = probabilities(case[0]), case[1]
    error, table = expected_calibration_error(shares, labels), reliability(shares, labels)
    assert 0 <= error <= 1
    assert sum(each["pictures"] for each in table) == len(labels)
    filled = [each for each in table if each["pictures"]]
    assert error == pytest.approx(
        sum(each["pictures"] * abs(each["confidence"] - each["accuracy"]) for each in filled) / len(labels)
    )
    for each in filled:
        assert each["from"] - 1e-6 <= each["confidence"] <= each["to"] + 1e-6
