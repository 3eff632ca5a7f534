"""What a network's outputs mean; VGG16's as Keras' decode_predictions says it. No TensorFlow here."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graft.imagenet import CLASSES, imagenet_classes

__all__ = ["CLASSES", "ImageNetLabel", "decode_predictions", "imagenet_classes", "likeliest", "probabilities"]


@dataclass(frozen=True)
class ImageNetLabel:
    """wnid: the WordNet id, such as n02123045. index: the output it belongs to, 0 to 999."""

    wnid: str
    label: str
    index: int
    probability: float


def probabilities(logits: npt.NDArray[np.float32], temperature: float = 1.0) -> npt.NDArray[np.float32]:
    """Softmax over the last axis of logits that are divided by a model's temperature, float32."""
    scaled = logits / np.float32(temperature)
    shifted = np.exp(scaled - scaled.max(-1, keepdims=True))
    shares: npt.NDArray[np.float32] = shifted / shifted.sum(-1, keepdims=True)
    return shares


def decode_predictions(probabilities: np.ndarray, top: int = 5) -> list[list[ImageNetLabel]]:
    """The `top` likeliest classes of every picture, likeliest first, as Keras' decode_predictions gives them.

    probabilities: (n, 1000), float32. Raises ValueError for another shape, or for `top` below 1.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != CLASSES:
        raise ValueError(f"probabilities must have the shape (n, {CLASSES}); received {probabilities.shape}.")
    if top < 1:
        raise ValueError(f"top must be at least 1; received {top}.")
    classes = imagenet_classes()
    return [[ImageNetLabel(*classes[i], i, float(row[i])) for i in likeliest(row, top)] for row in probabilities]


def likeliest(row: np.ndarray, top: int) -> list[int]:
    """The classes of the `top` highest numbers of one row, highest first; equal ones in the order that Keras gives."""
    order: list[int] = row.argsort()[::-1][:top].tolist()
    return order
