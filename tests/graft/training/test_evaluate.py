"""Metrics against numbers worked by hand, against Keras' loss, and against what must hold for any predictions."""

import json
import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from graft.errors import InvalidInput
from graft.training.evaluate import evaluate


def certain(predicted: list[int], classes: int) -> np.ndarray:
    """Probabilities of a model that is 80 % sure of each of these."""
    rest = 0.2 / (classes - 1)
    return (np.eye(classes)[predicted] * (0.8 - rest) + rest).astype(np.float32)


def test_worked_by_hand() -> None:
    # true a a a b b c, predicted a a b b c c
    result = evaluate(certain([0, 0, 1, 1, 2, 2], 3), np.array([0, 0, 0, 1, 1, 2]), ("a", "b", "c"))
    assert result["confusion_matrix"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert result["pictures"] == 6
    assert result["accuracy"] == pytest.approx(4 / 6)
    assert result["loss"] == pytest.approx(-(4 * math.log(0.8) + 2 * math.log(0.1)) / 6, rel=1e-6)
    assert result["per_class"] == [
        {"label": "a", "precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "support": 3},
        {"label": "b", "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
        {"label": "c", "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
    ]
    assert result["macro"] == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx((2 / 3 + 0.5 + 1) / 3),
        "f1": pytest.approx((0.8 + 0.5 + 2 / 3) / 3),
    }


def test_nothing_over_nothing_is_zero_and_an_absent_class_does_not_count() -> None:
    # b is never predicted, c is predicted and never true, d is neither.
    result = evaluate(certain([0, 2], 4), np.array([0, 1]), ("a", "b", "c", "d"))
    scores = {row["label"]: (row["precision"], row["recall"], row["f1"], row["support"]) for row in result["per_class"]}
    assert scores == {"a": (1, 1, 1, 1), "b": (0, 0, 0, 1), "c": (0, 0, 0, 0), "d": (0, 0, 0, 0)}
    assert result["macro"] == {name: pytest.approx(1 / 3) for name in ("precision", "recall", "f1")}


def test_a_sure_mistake_costs_what_keras_clips_it_to() -> None:
    result = evaluate(np.array([[1, 0], [1, 0]], np.float32), np.array([0, 1]), ("a", "b"))
    assert result["loss"] == pytest.approx((-math.log(1 - 1e-7) - math.log(1e-7)) / 2)


def test_the_loss_is_that_of_keras() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 8, (200, 7))
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities, labels = exact.astype(np.float32), rng.integers(0, 7, 200)
    theirs = keras.losses.categorical_crossentropy(np.eye(7, dtype=np.float32)[labels], probabilities)
    assert exact.min() < 1e-7  # so that clipping is part of it
    assert evaluate(probabilities, labels, list("abcdefg"))["loss"] == pytest.approx(np.mean(theirs), rel=1e-5)


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str]]:
    n, c = draw(st.integers(1, 30)), draw(st.integers(1, 6))
    weights = draw(arrays(np.float32, (n, c), elements=st.floats(0.0009765625, 1, width=32)))
    labels = draw(arrays(np.int64, n, elements=st.integers(0, c - 1)))
    return weights / weights.sum(axis=1, keepdims=True), labels, [f"class {i}" for i in range(c)]


@given(predictions())
def test_what_holds_for_any_predictions(case: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    probabilities, labels, classes = case
    result = evaluate(probabilities, labels, classes)
    assert json.loads(json.dumps(result, allow_nan=False)) == result

    matrix = np.array(result["confusion_matrix"])
    assert matrix.sum(axis=1).tolist() == [row["support"] for row in result["per_class"]]
    assert matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=len(classes)).tolist()
    assert matrix.sum(axis=0).tolist() == np.bincount(probabilities.argmax(axis=1), minlength=len(classes)).tolist()
    assert result["accuracy"] == np.trace(matrix) / len(labels) == (probabilities.argmax(axis=1) == labels).mean()
    weighted = sum(row["recall"] * row["support"] for row in result["per_class"]) / len(labels)
    assert weighted == pytest.approx(result["accuracy"])
    for row in result["per_class"]:
        low, high = sorted((row["precision"], row["recall"]))
        assert 0 <= low * (1 - 1e-9) <= row["f1"] <= high * (1 + 1e-9) <= 1 + 1e-9
    assert result["loss"] >= 0

    back = np.arange(len(labels))[::-1]
    turned = evaluate(probabilities[back], labels[back], classes)
    assert turned == {**result, "loss": pytest.approx(result["loss"])}


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.zeros((0, 2)), np.zeros(0, int)),
        (np.zeros((2, 3)), np.zeros(2, int)),
        (np.zeros((2, 2)), np.zeros(3, int)),
        (np.zeros((2, 2)), np.zeros((2, 1), int)),
    ],
)
def test_shapes_that_do_not_fit(probabilities: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"needs \(n, 2\) probabilities"):
        evaluate(probabilities, labels, ("a", "b"))


@pytest.mark.parametrize("labels", [np.array([0, 2]), np.array([-1, 0]), np.array([0.0, 1.0])])
def test_labels_that_are_no_classes(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="integers from 0 to 1; received"):
        evaluate(np.full((2, 2), 0.5), labels, ("a", "b"))


def test_a_diverged_model_is_said_to_be_one() -> None:
    with pytest.raises(InvalidInput, match=r"for 1 of 2 pictures they are not, .* lower learning rate"):
        evaluate(np.array([[0.5, 0.5], [np.nan, 0.5]], np.float32), np.array([0, 1]), ("a", "b"))
