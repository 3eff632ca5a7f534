"""What features are: all that decides their numbers beside the picture, and where keeping them is worth the room."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from graft.training.augmentation import AUGMENTATION_VERSION
from graft.training.recipe import Augmentation
from graft.types import InputKey, Precision
from graft.vgg16.heads import pooled
from graft.vgg16.layers import INPUT, feature_shape, multiply_adds

_DTYPES: dict[Precision, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(tf.bfloat16.as_numpy_dtype),
}

# What `worth_keeping` weighs. Both lean to computing again: the disk is a slow one, the processor has eight cores. What
# was measured, and what follows for each cut: docs/decisions/0016.
DISK_BYTES_PER_SECOND = 200e6
MULTIPLY_ADDS_PER_SECOND: dict[Precision, float] = {"float32": 200e9, "bfloat16": 400e9}


@dataclass(frozen=True)
class View:
    """One augmented variant of a picture. Of `augmentation`, `views` does not count; number: from 0."""

    augmentation: Augmentation
    seed: int
    number: int

    def as_dict(self) -> dict[str, Any]:
        """All that decides the pixels."""
        layers = self.augmentation.model_dump(mode="json", exclude={"views"})
        return {"code": AUGMENTATION_VERSION, "augmentation": layers, "seed": self.seed, "number": self.number}


@dataclass(frozen=True)
class FeatureKind:
    """All that decides a picture's features beside its bytes. view: None for the picture as it is."""

    input: InputKey
    trunk_digest: str
    cut: str
    pooling: Literal["avg", "max"] | None
    view: View | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture's features."""
        height, width, channels = feature_shape(self.cut)
        return (height, width, channels) if self.pooling is None else (channels,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """What a row is made of: two bytes a number where the trunk computes with two. Pictures are exact."""
        return _DTYPES["float32" if self.cut == INPUT else self.input.precision]

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def key(self) -> str:
        """Hex sha256: of two equal keys and equal pictures the features are equal."""
        content = {
            "input": self.input.as_dict(),
            "trunk": self.trunk_digest,
            "cut": self.cut,
            "pooling": self.pooling,
            "view": self.view and self.view.as_dict(),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def rows(self, output: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """The trunk's output at the cut, (n, height, width, channels), as rows (n, *shape) of `dtype`."""
        features = output if self.pooling is None else np.asarray(pooled(output, self.pooling))
        return features.astype(self.dtype, copy=False)


def views_of(kind: FeatureKind, augmentation: Augmentation, seed: int) -> list[FeatureKind]:
    """The kinds of a picture's views, by number; `kind` is that of the picture as it is."""
    return [replace(kind, view=View(augmentation, seed, number)) for number in range(augmentation.views)]


def worth_keeping(kind: FeatureKind) -> bool:
    """Whether writing or reading a row takes less time than the trunk's way to it. Pictures are decoded again."""
    disk = kind.row_bytes / DISK_BYTES_PER_SECOND
    return disk < multiply_adds(INPUT, kind.cut) / MULTIPLY_ADDS_PER_SECOND[kind.input.precision]
