"""Metrics of a classifier over a set of pictures, from its probabilities. Plain numpy, computed in float64."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from graft.errors import InvalidInput

EPSILON = 1e-7  # Keras' backend epsilon: categorical_crossentropy clips probabilities to [EPSILON, 1 - EPSILON]


def evaluate(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Loss, accuracy, per-class metrics and confusion matrix, as JSON-safe numbers.

    probabilities: (n, c) float32, c = len(classes); labels: (n,) integers, the index of each picture's true class.
    loss: mean categorical cross-entropy, as Keras computes it. confusion_matrix[true][predicted] counts pictures.
    A precision, recall or F1 of 0/0 is 0.0. macro: the plain mean over the classes that occur, as true or predicted.
    Raises ValueError for shapes or labels that do not fit, InvalidInput for probabilities that are not finite.
    """
    n, c = _checked(probabilities, labels, classes)
    matrix = np.zeros((c, c), dtype=np.int64)
    np.add.at(matrix, (labels, probabilities.argmax(axis=1)), 1)
    right, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    scores = {
        "precision": _ratio(right, predicted),
        "recall": _ratio(right, support),
        "f1": _ratio(2 * right, support + predicted),
    }
    occurs = support + predicted > 0
    return {
        "loss": _cross_entropy(probabilities, labels),
        "accuracy": float(right.sum() / n),
        "pictures": n,
        "per_class": [
            {"label": label, **{name: float(score[i]) for name, score in scores.items()}, "support": int(support[i])}
            for i, label in enumerate(classes)
        ],
        "macro": {name: float(score[occurs].mean()) for name, score in scores.items()},
        "confusion_matrix": matrix.tolist(),
    }


def _checked(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> tuple[int, int]:
    """(pictures, classes)."""
    n, c = len(labels), len(classes)
    if n == 0 or labels.shape != (n,) or probabilities.shape != (n, c):
        raise ValueError(
            f"An evaluation needs (n, {c}) probabilities and (n,) labels, n at least 1; "
            f"received {probabilities.shape} and {labels.shape}."
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= c:
        raise ValueError(
            f"Labels must be integers from 0 to {c - 1}; received {labels.dtype}, {labels.min()} to {labels.max()}."
        )
    if not (finite := np.isfinite(probabilities).all(axis=1)).all():
        raise InvalidInput(
            f"A model's probabilities must be finite; for {n - int(finite.sum())} of {n} pictures they are not, so the "
            "training has diverged. Train again with a lower learning rate."
        )
    return n, c


def _cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    exact = probabilities.astype(np.float64)
    of_true = exact[np.arange(len(labels)), labels] / exact.sum(axis=1)
    return float(-np.log(of_true.clip(EPSILON, 1 - EPSILON)).mean())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, with 0/0 = 0."""
    quotient = np.zeros(len(whole))
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient
