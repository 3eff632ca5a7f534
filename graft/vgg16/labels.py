"""The 1000 ImageNet classes, in the order of VGG16's outputs. No TensorFlow here.

The class index is the file that Keras' decode_predictions downloads (md5 c2c37ea517e94d9795004a39431a14cb).
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

CLASSES = 1000


@dataclass(frozen=True)
class ImageNetLabel:
    """wnid: the WordNet id, such as n02123045. index: the output it belongs to, 0 to 999."""

    wnid: str
    label: str
    index: int
    probability: float


@cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """(wnid, label) of every output, in order. Labels are not unique: `crane` and `maillot` are there twice."""
    index = json.loads((files("graft.vgg16") / "imagenet_class_index.json").read_bytes())
    return tuple((index[str(i)][0], index[str(i)][1]) for i in range(CLASSES))


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
