"""Linear probes: how well a straight line through features tells the classes apart, cross-validated. Plain numpy.

A probe is ridge regression to one-hot targets on standardized features, its strength chosen by the leave-one-out error
within the training folds (Golub, Heath & Wahba 1979): one eigendecomposition a fold serves every strength, and the same
pictures and seed give the same answer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FOLDS = 5
# Times the pictures, which a standardized feature's squares sum to: from hardly any smoothing to hardly any slope.
STRENGTHS = 10.0 ** np.arange(-5.0, 3.1)

Rows = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Probe:
    """Which pictures, (n,) bool, were told right by a probe that had not seen them."""

    right: npt.NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def error(self) -> float:
        """One standard error of the accuracy."""
        return float(np.sqrt(self.accuracy * (1 - self.accuracy) / len(self.right)))

    def lead(self, other: "Probe") -> tuple[float, float]:
        """How much higher its accuracy is than another probe's of the same pictures, and that lead's standard error.

        Picture by picture: most are easy for both or hard for both, and say nothing about which is better.
        """
        difference = self.right.astype(float) - other.right
        return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))


def probe(features: Rows, labels: Labels, seed: int) -> Probe:
    """(n, width) features of (n,) labels, n at least 2. Each fold is told by a probe fitted to the others."""
    targets = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    fold, right = stratified_folds(labels, seed), np.zeros(len(labels), np.bool_)
    for number in np.unique(fold):
        held, seen = fold == number, fold != number
        right[held] = _scores(features[seen], targets[seen], features[held]).argmax(1) == labels[held]
    return Probe(right)


def stratified_folds(labels: Labels, seed: int) -> npt.NDArray[np.int64]:
    """A fold for each picture, (n,) from 0: each class, shuffled, is dealt out where the one before it ended."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)])
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % FOLDS
    return fold


def stratified_sample(labels: Labels, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices, sorted, of at most that many pictures, every class in its share; all of them where they are no more."""
    if len(labels) <= most:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    # A picture's place within its shuffled class, as a share of the class: the lowest ones are spread over all classes.
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + 0.5 * rng.random()) / len(members)
    return np.sort(np.argsort(place, kind="stable")[:most])


def _scores(features: Rows, targets: Rows, unseen: Rows) -> Rows:
    """Fit to (n, width) features and (n, classes) targets; what that gives for (m, width) unseen ones, (m, classes)."""
    mean, deviation = features.mean(0), features.std(0)
    deviation[deviation == 0] = 1  # a feature that never varies
    train, test = (features - mean) / deviation, (unseen - mean) / deviation
    centre = targets.mean(0)
    squares, train, test = _principal(train, test)
    products = train.T @ (targets - centre)
    shrinkage = 1 / (STRENGTHS[:, None] * len(train) + squares).astype(train.dtype)
    # Leave-one-out in closed form: a row's error without it is its error over what the other rows have of its fit.
    others = (1 - 1 / len(train) - train**2 @ shrinkage.T).clip(1e-6)
    fits = [train @ (products * s[:, None]) for s in shrinkage]
    errors = [
        (((targets - centre - fit) / rest[:, None]) ** 2).mean() for fit, rest in zip(fits, others.T, strict=True)
    ]
    scores: Rows = test @ (products * shrinkage[int(np.argmin(errors))][:, None]) + centre
    return scores


def _principal(train: Rows, test: Rows) -> tuple[Rows, Rows, Rows]:
    """The sums of squares along the training rows' principal axes, and both turned to these; by the smaller product."""
    if train.shape[1] <= train.shape[0]:
        squares, axes = np.linalg.eigh((train.T @ train).astype(np.float64))
        axes = axes.astype(train.dtype)
        return squares.clip(0), train @ axes, test @ axes
    squares, rows = np.linalg.eigh((train @ train.T).astype(np.float64))
    kept = squares > 1e-6 * squares[-1]
    squares, rows, lengths = squares[kept], rows[:, kept].astype(train.dtype), np.sqrt(squares[kept])
    lengths = lengths.astype(train.dtype)
    return squares, rows * lengths, (test @ train.T) @ rows / lengths
