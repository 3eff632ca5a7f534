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
from graft.training.evaluate import Outputs, evaluate, evaluated, measure
from graft.vgg16.labels import probabilities


def certain(predicted: list[int], classes: int) -> np.ndarray:
    """Logits of a model that is 80 % sure of each of these."""
    rest = 0.2 / (classes - 1)
    return np.log(np.eye(classes)[predicted] * (0.8 - rest) + rest).astype(np.float32)


def outputs(logits: np.ndarray, labels: np.ndarray) -> Outputs:
    return Outputs(logits, labels, [f"{i}.jpg" for i in range(len(labels))])


def test_worked_by_hand() -> None:
    # true a a a b b c, predicted a a b b c c
    given = outputs(certain([0, 0, 1, 1, 2, 2], 3), np.array([0, 0, 0, 1, 1, 2]))
    result = evaluate(given, ("a", "b", "c"))
    assert result["confusion_matrix"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert result["pictures"] == 6
    assert result["accuracy"] == pytest.approx(4 / 6)
    assert result["accuracy_interval"] == pytest.approx([0.29999, 0.90323], abs=1e-5)  # Wilson's, 4 of 6
    assert result["top_k"] == {"k": 2, "accuracy": pytest.approx(5 / 6)}  # b and c tie behind a: the first is second
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
    tenths = {"probability_of_true": pytest.approx(0.1), "probability_of_predicted": pytest.approx(0.8)}
    assert result["mistakes"] == [
        {"file": "2.jpg", "true": "a", "predicted": "b", **tenths},
        {"file": "4.jpg", "true": "b", "predicted": "c", **tenths},
    ]
    assert result["calibration"]["ece"] == pytest.approx(0.8 - 4 / 6)


def test_the_worst_mistakes_are_those_it_was_surest_of() -> None:
    logits = np.zeros((60, 2), np.float32)
    logits[:, 1] = np.linspace(-2, 4, 60)  # the true class is the first one: wrong from the 21st picture on
    mistakes = evaluate(outputs(logits, np.zeros(60, np.int32)), ("a", "b"))["mistakes"]
    assert [each["file"] for each in mistakes] == [f"{i}.jpg" for i in range(59, 34, -1)]


@pytest.mark.parametrize(("classes", "k"), [(2, 1), (3, 2), (5, 4), (6, 5), (40, 5)])
def test_the_true_class_among_the_likeliest(classes: int, k: int) -> None:
    """Never among all of them, where it always is."""
    logits = np.tile(-np.arange(classes, dtype=np.float32), (classes, 1))  # class 0 is the likeliest, then 1, …
    top = evaluate(outputs(logits, np.arange(classes)), [str(i) for i in range(classes)])["top_k"]
    assert top == {"k": k, "accuracy": k / classes}


def test_everything_is_told_of_the_probabilities_as_served() -> None:
    rng = np.random.default_rng(5)
    labels = np.arange(120) % 3
    logits = (6 * (np.eye(3)[labels] + rng.normal(0, 0.8, (120, 3)))).astype(np.float32)  # far too sure
    given = {"validation": outputs(logits, labels), "test": outputs(logits[:9], labels[:9])}
    evaluations, temperature = evaluated(given, ("a", "b", "c"))
    assert temperature > 1.5
    served = probabilities(logits, temperature).astype(np.float64)
    result = evaluations["validation"]
    assert result["loss"] == pytest.approx(-np.log(served[np.arange(120), labels]).mean())
    assert result["loss"] < result["uncalibrated_loss"] == measure(logits, labels)["loss"]
    assert result["calibration"]["ece"] < result["calibration"]["uncalibrated_ece"]
    assert result["mistakes"][0]["probability_of_predicted"] == served[served.argmax(1) != labels].max()
    assert evaluations["test"] == evaluate(given["test"], ("a", "b", "c"), temperature)


def test_without_validation_pictures_the_temperature_is_1() -> None:
    given = {"test": outputs(certain([0, 1] * 40, 2), np.array([0, 0] * 40))}
    assert evaluated(given, ("a", "b")) == ({"test": evaluate(given["test"], ("a", "b"))}, 1.0)
    assert evaluated({}, ("a", "b")) == ({}, 1.0)


def test_nothing_over_nothing_is_zero_and_an_absent_class_does_not_count() -> None:
    # b is never predicted, c is predicted and never true, d is neither.
    result = evaluate(outputs(certain([0, 2], 4), np.array([0, 1])), ("a", "b", "c", "d"))
    scores = {row["label"]: (row["precision"], row["recall"], row["f1"], row["support"]) for row in result["per_class"]}
    assert scores == {"a": (1, 1, 1, 1), "b": (0, 0, 0, 1), "c": (0, 0, 0, 0), "d": (0, 0, 0, 0)}
    assert result["macro"] == {name: pytest.approx(1 / 3) for name in ("precision", "recall", "f1")}


def test_a_sure_mistake_costs_what_keras_clips_it_to() -> None:
    result = measure(np.array([[50, 0], [50, 0]], np.float32), np.array([0, 1]))
    assert result["accuracy"] == 0.5
    assert result["loss"] == pytest.approx((-math.log(1 - 1e-7) - math.log(1e-7)) / 2)


def test_the_loss_is_that_of_keras() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 8, (200, 7))
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = rng.integers(0, 7, 200)
    theirs = keras.losses.categorical_crossentropy(np.eye(7, dtype=np.float32)[labels], exact.astype(np.float32))
    assert exact.min() < 1e-7  # so that clipping is part of it
    assert measure(logits.astype(np.float32), labels)["loss"] == pytest.approx(np.mean(theirs), rel=1e-5)


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Logits, some of them equal, with their labels and classes."""
    n, c = draw(st.integers(1, 30)), draw(st.integers(1, 6))
    logits = draw(arrays(np.float32, (n, c), elements=st.floats(-12, 12, width=16)))
    labels = draw(arrays(np.int64, n, elements=st.integers(0, c - 1)))
    return logits, labels, [f"class {i}" for i in range(c)]


@given(predictions(), st.sampled_from([0.05, 0.7, 1.0, 20.0]))
def test_what_holds_for_any_predictions(case: tuple[np.ndarray, np.ndarray, list[str]], temperature: float) -> None:
    logits, labels, classes = case
    result = evaluate(outputs(logits, labels), classes, temperature)
    assert json.loads(json.dumps(result, allow_nan=False)) == result

    named = probabilities(logits, temperature).argmax(axis=1)
    matrix = np.array(result["confusion_matrix"])
    assert matrix.sum(axis=1).tolist() == [row["support"] for row in result["per_class"]]
    assert matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=len(classes)).tolist()
    assert matrix.sum(axis=0).tolist() == np.bincount(named, minlength=len(classes)).tolist()
    assert result["accuracy"] == np.trace(matrix) / len(labels) == (named == labels).mean()
    assert 0 <= result["accuracy_interval"][0] <= result["accuracy"] <= result["accuracy_interval"][1] <= 1
    assert result["accuracy"] <= result["top_k"]["accuracy"] <= 1
    weighted = sum(row["recall"] * row["support"] for row in result["per_class"]) / len(labels)
    assert weighted == pytest.approx(result["accuracy"])
    for row in result["per_class"]:
        low, high = sorted((row["precision"], row["recall"]))
        assert 0 <= low * (1 - 1e-9) <= row["f1"] <= high * (1 + 1e-9) <= 1 + 1e-9
    assert result["loss"] >= 0

    sure = [each["probability_of_predicted"] for each in result["mistakes"]]
    assert sure == sorted(sure, reverse=True)
    assert len(sure) == min(25, (named != labels).sum())
    assert all(each["probability_of_predicted"] >= each["probability_of_true"] for each in result["mistakes"])


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 2)), np.zeros(0, int)),
        (np.zeros((2, 3)), np.zeros(2, int)),
        (np.zeros((2, 2)), np.zeros(3, int)),
        (np.zeros((2, 2)), np.zeros((2, 1), int)),
    ],
)
def test_shapes_that_do_not_fit(logits: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"needs \(n, 2\) logits"):
        evaluate(Outputs(logits, labels, [""] * len(labels)), ("a", "b"))


@pytest.mark.parametrize("labels", [np.array([0, 2]), np.array([-1, 0]), np.array([0.0, 1.0])])
def test_labels_that_are_no_classes(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="integers from 0 to 1; received"):
        measure(np.zeros((2, 2), np.float32), labels)


def test_a_diverged_model_is_said_to_be_one() -> None:
    with pytest.raises(InvalidInput, match=r"for 1 of 2 pictures they are not, .* lower learning rate"):
        measure(np.array([[0.5, 0.5], [np.nan, 0.5]], np.float32), np.array([0, 1]))
