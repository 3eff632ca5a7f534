"""How far a model's probabilities can be believed, and the temperature that mends them. Plain numpy, float64."""

import math
from typing import Any

import numpy as np

# Dividing every logit by one number changes how sure the model is, and never which class it names
# (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2).
COLDEST, HOTTEST = 0.05, 20.0
HALVINGS = 40  # of the range in log T; then it is known to 1e-11
DIGITS = 4
FEWEST_PICTURES, FEWEST_PER_CLASS = 50, 2  # docs/decisions/0018: below, a fitted one does more harm than good
BINS = 15


def fitted_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the lowest negative log likelihood on validation pictures: logits (n, c), labels (n,).

    1.0 below FEWEST_PICTURES or FEWEST_PER_CLASS of them on average, and wherever it would not be lower than at 1.0.
    Each picture counts for its class by (n + 1)/(n + 2), Platt's rule, and for the likeliest other one by the rest: a
    model without a mistake is not made surer than its n pictures show.
    """
    n, c = logits.shape
    if c < 2 or n < max(FEWEST_PICTURES, FEWEST_PER_CLASS * c):
        return 1.0
    exact = logits.astype(np.float64)
    doubt = 1 / (n + 2)
    true = np.arange(c) == labels[:, None]
    wanted = ((1 - doubt) * exact[true] + doubt * np.where(true, -np.inf, exact).max(axis=1)).mean()
    low, high = math.log(COLDEST), math.log(HOTTEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        # In 1/T the likelihood is convex, and this its slope: where the mean expected logit is too low, it is too hot.
        too_hot = (_shares(exact / math.exp(middle)) * exact).sum(axis=1).mean() < wanted
        low, high = (low, middle) if too_hot else (middle, high)
    temperature = round(math.exp((low + high) / 2), DIGITS)
    better = negative_log_likelihood(exact, labels, temperature) < negative_log_likelihood(exact, labels)
    return temperature if better else 1.0


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Mean over the pictures, of logits (n, c) that are divided by the temperature; exact, nothing is clipped."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]).mean())


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """For BINS equal ranges (from, to] of how sure the model was of what it named: how often it was right.

    confidence and accuracy are means over the range's pictures, None where it has none.
    """
    confidence, right, places = _binned(probabilities, labels)
    table = []
    for place in range(BINS):
        inside = places == place
        table.append(
            {
                "from": place / BINS,
                "to": (place + 1) / BINS,
                "pictures": int(inside.sum()),
                "confidence": float(confidence[inside].mean()) if inside.any() else None,
                "accuracy": float(right[inside].mean()) if inside.any() else None,
            }
        )
    return table


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """How far confidence and accuracy lie apart in those ranges, averaged over the pictures: 0 is perfect, 1 the worst.

    Guo et al. 2017, equation 3.
    """
    confidence, right, places = _binned(probabilities, labels)
    gaps = np.bincount(places, confidence - right, BINS)
    return float(np.abs(gaps).sum() / len(labels))


def _binned(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) each: the probability of the class that was named, whether it was the true one, and the range's number."""
    confidence = probabilities.max(axis=1).astype(np.float64).clip(0, 1)
    right = probabilities.argmax(axis=1) == labels
    return confidence, right, (np.ceil(confidence * BINS) - 1).clip(0, BINS - 1).astype(np.int64)


def _shares(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
