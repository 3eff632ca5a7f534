"""Metrics of a classifier over a set of pictures, from its logits. Plain numpy, computed in float64."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graft.errors import InvalidInput
from graft.training.calibration import expected_calibration_error, fitted_temperature, reliability
from graft.training.thresholds import thresholds
from graft.vgg16.labels import probabilities

EPSILON = 1e-7  # Keras' backend epsilon: categorical_crossentropy clips probabilities to [EPSILON, 1 - EPSILON]
TOP = 5
WORST = 25
Z = 1.959963984540054  # of a normal distribution, 95 % lie within so many standard deviations

Evaluations = Mapping[str, dict[str, Any]]  # by split, as `evaluate` gives them


@dataclass(frozen=True)
class Outputs:
    """What a finished model says of one split: logits (n, c), true classes (n,) integers, and the pictures' paths."""

    logits: np.ndarray
    labels: np.ndarray
    paths: Sequence[str]


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss and accuracy alone, of logits (n, c) as they are: what an epoch of training is judged by.

    Raises what `evaluate` does.
    """
    shares = probabilities(logits)
    _check(shares, labels, logits.shape[1])
    return {"loss": _cross_entropy(shares, labels), "accuracy": float((shares.argmax(axis=1) == labels).mean())}


def evaluated(outputs: Mapping[str, Outputs], classes: Sequence[str]) -> tuple[Evaluations, float]:
    """A finished model by split, on probabilities as they will be served, and the temperature that makes them so.

    outputs: of `validation` and `test`, where they have pictures; the temperature is fitted on `validation`.
    """
    validation = outputs.get("validation")
    temperature = fitted_temperature(validation.logits, validation.labels) if validation else 1.0
    return {name: evaluate(each, classes, temperature) for name, each in outputs.items()}, temperature


def evaluate(outputs: Outputs, classes: Sequence[str], temperature: float = 1.0) -> dict[str, Any]:
    """Everything that a report tells of one split, as JSON-safe numbers; of probabilities as served at `temperature`.

    loss: mean categorical cross-entropy, as Keras computes it; uncalibrated_loss: the same at temperature 1.
    accuracy_interval: where the accuracy lies on pictures like these, with 95 % confidence. top_k: how often the true
    class is among the k likeliest: five, or all but one where there are fewer. confusion_matrix[true][predicted] counts
    pictures. A precision, recall or F1 of 0/0 is 0.0. macro: the plain mean over the classes that occur, as true or
    predicted. Raises ValueError for shapes or labels that do not fit, InvalidInput for numbers that are not finite.
    """
    plain, shares = probabilities(outputs.logits), probabilities(outputs.logits, temperature)
    labels, c = outputs.labels, len(classes)
    _check(shares, labels, c)
    right = shares.argmax(axis=1) == labels
    return {
        "loss": _cross_entropy(shares, labels),
        "uncalibrated_loss": _cross_entropy(plain, labels),
        "accuracy": float(right.mean()),
        "accuracy_interval": _interval(int(right.sum()), len(labels)),
        "pictures": len(labels),
        "top_k": _top_k(shares, labels, max(1, min(TOP, c - 1))),
        **_by_class(shares, labels, classes),
        "mistakes": _mistakes(shares, outputs, classes),
        "thresholds": thresholds(shares, labels, classes),
        "calibration": {
            "ece": expected_calibration_error(shares, labels),
            "uncalibrated_ece": expected_calibration_error(plain, labels),
            "bins": reliability(shares, labels),
        },
    }


def _by_class(shares: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, (labels, shares.argmax(axis=1)), 1)
    right, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    scores = {
        "precision": _ratio(right, predicted),
        "recall": _ratio(right, support),
        "f1": _ratio(2 * right, support + predicted),
    }
    occurs = support + predicted > 0
    return {
        "per_class": [
            {"label": label, **{name: float(score[i]) for name, score in scores.items()}, "support": int(support[i])}
            for i, label in enumerate(classes)
        ],
        "macro": {name: float(score[occurs].mean()) for name, score in scores.items()},
        "confusion_matrix": matrix.tolist(),
    }


def _top_k(shares: np.ndarray, labels: np.ndarray, k: int) -> dict[str, Any]:
    of_true = shares[np.arange(len(labels)), labels][:, None]
    before = np.arange(shares.shape[1]) < labels[:, None]
    rank = ((shares > of_true) | ((shares == of_true) & before)).sum(axis=1)  # equal ones as argmax takes them
    return {"k": k, "accuracy": float((rank < k).mean())}


def _mistakes(shares: np.ndarray, outputs: Outputs, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The wrong answers that the model was surest of, surest first; equally sure ones in the order of the pictures."""
    predicted, labels = shares.argmax(axis=1), outputs.labels
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-shares[wrong, predicted[wrong]], kind="stable")][:WORST]
    return [
        {
            "file": outputs.paths[i],
            "true": classes[labels[i]],
            "predicted": classes[predicted[i]],
            "probability_of_true": float(shares[i, labels[i]]),
            "probability_of_predicted": float(shares[i, predicted[i]]),
        }
        for i in worst
    ]


def _interval(right: int, n: int) -> list[float]:
    """Wilson's score interval of a share, which stays inside 0 to 1 and says something even for 10 of 10."""
    share, z = right / n, Z
    centre, reach = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = ((centre + way) / (1 + z**2 / n) for way in (-reach, reach))
    return [max(0.0, min(low, share)), min(1.0, max(high, share))]  # rounding may put them a hair on the other side


def _check(shares: np.ndarray, labels: np.ndarray, c: int) -> None:
    n = len(labels)
    if n == 0 or labels.shape != (n,) or shares.shape != (n, c):
        raise ValueError(
            f"An evaluation needs (n, {c}) logits and (n,) labels, n at least 1; "
            f"received {shares.shape} and {labels.shape}."
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= c:
        raise ValueError(
            f"Labels must be integers from 0 to {c - 1}; received {labels.dtype}, {labels.min()} to {labels.max()}."
        )
    if not (finite := np.isfinite(shares).all(axis=1)).all():
        raise InvalidInput(
            f"A model's probabilities must be finite; for {n - int(finite.sum())} of {n} pictures they are not, so the "
            "training has diverged. Train again with a lower learning rate."
        )


def _cross_entropy(shares: np.ndarray, labels: np.ndarray) -> float:
    exact = shares.astype(np.float64)
    of_true = exact[np.arange(len(labels)), labels] / exact.sum(axis=1)
    return float(-np.log(of_true.clip(EPSILON, 1 - EPSILON)).mean())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, with 0/0 = 0."""
    quotient = np.zeros(len(whole))
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient
