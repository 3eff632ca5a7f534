"""Thresholds against every threshold that there is, tried one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from graft.training.thresholds import PRECISE, thresholds

CASES = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        # Few distinct scores, so that there are ties.
        arrays(np.float32, n, elements=st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.6, 0.9, 1.0])),
        arrays(np.int64, n, elements=st.integers(0, 1)),
    )
)


def of_second(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    return thresholds(np.stack([1 - scores, scores], axis=1), labels, ("no", "yes"))[1]


def measured(scores: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, float]:
    said, positive = scores >= threshold, labels == 1
    found = (said & positive).sum()
    return {
        "threshold": threshold,
        "precision": found / said.sum(),
        "recall": found / positive.sum(),
        "f1": 2 * found / (said.sum() + positive.sum()),
    }


def test_worked_by_hand() -> None:
    # yes at 0.9 and 0.6, no at 0.7 and 0.2
    row = of_second(np.array([0.9, 0.7, 0.6, 0.2]), np.array([1, 0, 1, 0]))
    assert row == {
        "label": "yes",
        "best_f1": {"threshold": 0.6, "precision": pytest.approx(2 / 3), "recall": 1.0, "f1": pytest.approx(0.8)},
        "precise": {"threshold": 0.9, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)},
    }


def test_a_class_without_pictures_has_none() -> None:
    assert of_second(np.array([0.5, 0.2]), np.array([0, 0])) == {"label": "yes", "best_f1": None, "precise": None}


def test_where_the_surest_are_wrong_none_is_precise() -> None:
    assert of_second(np.array([0.9, 0.8]), np.array([0, 1]))["precise"] is None


@given(CASES)
def test_no_other_threshold_is_better(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    row = of_second(scores, labels)
    if not labels.any():
        assert row["best_f1"] is None
        return
    every = [measured(scores, labels, float(threshold)) for threshold in sorted(set(scores), reverse=True)]
    recalls = [each["recall"] for each in every]
    assert recalls == sorted(recalls)  # the lower, the more are found
    best = max(every, key=lambda each: each["f1"])  # of equal ones the first, which is the highest threshold
    assert row["best_f1"] == pytest.approx(best)
    precise = [each for each in every if each["precision"] >= PRECISE]
    assert row["precise"] == (pytest.approx(precise[-1]) if precise else None)
