"""From which probability on to believe that a picture is of a class. Plain numpy, float64."""

from collections.abc import Sequence
from typing import Any

import numpy as np

PRECISE = 0.95


def thresholds(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """For each class, what comes of saying it whenever its probability is at least a threshold, against all the others.

    probabilities: (n, c); labels: (n,). best_f1: the threshold with the highest F1, of equal ones the highest;
    precise: the lowest from which on at least PRECISE of what is called the class is of it. Each with its precision,
    recall and F1; None for a class without pictures, and where no threshold is precise.
    """
    return [{"label": label, **_of_class(probabilities[:, i], labels == i)} for i, label in enumerate(classes)]


def _of_class(scores: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    if not positive.any():
        return {"best_f1": None, "precise": None}
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    # Pictures with the same score are on the same side of any threshold: only the last of them can be the edge.
    edges = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    found, said = positive[order].cumsum()[edges], edges + 1
    precision, recall = found / said, found / positive.sum()
    f1 = 2 * found / (said + positive.sum())

    def at(i: int) -> dict[str, float]:
        return {
            "threshold": float(falling[edges[i]]),
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
        }

    precise = np.flatnonzero(precision >= PRECISE)
    return {"best_f1": at(int(f1.argmax())), "precise": at(int(precise[-1])) if len(precise) else None}
