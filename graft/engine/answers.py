"""What a prediction is, and an embedding. No TensorFlow here: whoever passes answers on imports this alone."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from graft.types import Precision
from graft.vgg16.layers import Pooling

File = tuple[str | None, bytes]  # a picture: its name, where it has one, and its content


@dataclass(frozen=True)
class Guess:
    """One label of a picture. index: its place among the model's classes; wnid: for ImageNet's labels only."""

    label: str
    index: int
    probability: float
    wnid: str | None = None


@dataclass(frozen=True)
class Entry:
    """One picture's answer, the likeliest label first."""

    filename: str | None
    top: tuple[Guess, ...]


@dataclass(frozen=True)
class Prediction:
    """What one model says of the pictures of a request, all of it from one version."""

    model: str
    version: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The trunk's own output for each picture: `vectors` is (n, d) float32, a row for each of `filenames`."""

    layer: str
    pooling: Pooling
    filenames: tuple[str | None, ...]
    vectors: npt.NDArray[np.float32]


ClassifierState = Literal["verified", "unverified", "missing"]


@dataclass(frozen=True)
class EngineState:
    """classifier: whether ImageNet's dense layers are there, and are the official ones; precision: that of `vgg16`;
    native: those that the hardware does by itself.
    """

    classifier: ClassifierState
    precision: Precision
    native: tuple[Precision, ...]

    def served(self, trained: Precision) -> Precision:
        """The precision at which a model is served here that was trained at this one."""
        return trained if trained in self.native else "float32"
