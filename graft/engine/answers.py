"""What a prediction is. No TensorFlow here: whoever passes answers on imports this alone."""

from dataclasses import dataclass
from typing import Literal

from graft.types import Precision


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
    """The answer to one request, all of it from one version."""

    model: str
    version: int
    entries: tuple[Entry, ...]


ClassifierState = Literal["verified", "unverified", "missing"]


@dataclass(frozen=True)
class EngineState:
    """classifier: whether ImageNet's dense layers are there, and are the official ones; precision: that of `vgg16`."""

    classifier: ClassifierState
    precision: Precision
