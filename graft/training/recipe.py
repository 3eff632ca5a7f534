"""A recipe: every choice of a training run, as numbers. No TensorFlow. What users ask for: `graft.training.presets`."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from graft.types import InputKey, Interpolation, Precision, Preprocessing
from graft.vgg16 import layers
from graft.vgg16.layers import HeadSpec, Pooling, tail_shapes

Preset = Literal["auto", "feature-extraction", "fine-tuning"]
OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop"]
LearningRate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100_000)]
BatchSize = Annotated[int, Field(ge=1, le=512)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Monitored = Literal["val_loss", "val_accuracy"]
_VERSION: Final = re.compile(r"(.+):([1-9][0-9]{0,9})")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EarlyStopping(_Frozen):
    """Ends the training once the validation pictures say that more of it does not help."""

    monitor: Monitored = "val_loss"
    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many epochs in a row may be no better than the best one before them."""


class Augmentation(_Frozen):
    """How training pictures are varied, by Keras' layers of these names. Every draw is seeded."""

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Degrees, each way at most."""
    shift: Share = 0.0
    """Of height and of width, each way at most."""
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """In and out, at most."""
    brightness: Share = 0.0
    """Of the whole range from black to white, each way at most."""
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Each way at most."""
    views: Annotated[int, Field(ge=0, le=100)] = 4
    """How many variants of each training picture are made, sent through the frozen layers once and kept; epochs draw
    among them. 0: every epoch makes new ones, each of which goes through the frozen layers."""


class Recipe(_Frozen):
    """Every choice of a training run, as stored beside the model. Sizes in pictures, rates per step."""

    preset: Preset
    """Where the other fields come from unless they are given. auto: from the pictures themselves, by measurement."""
    init: Annotated[str, Field(pattern=rf"^(imagenet|random|{_VERSION.pattern})$", max_length=100)] = "imagenet"
    """Where the layers that are trained start from. imagenet: the convolutions from the trunk, the head from the seed;
    random: all of them from the seed; MODEL:VERSION: from that version's, which also gives cut, head, preprocessing and
    interpolation. The layers before the cut are the trunk's."""
    cut: str
    """The trunk's layer after which the model has layers of its own: block5_pool trains the head alone, block4_pool the
    three convolutions of block 5 too, block3_pool those of block 4 as well, input all of them."""
    pooling: Pooling
    """What makes one row of numbers of a picture's features."""
    hidden_units: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(max_length=4)]
    """The sizes of the head's hidden layers; []: softmax only."""
    batch_norm: bool
    """Batch normalization after each hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """The share of each hidden layer's outputs that a training step leaves out."""
    optimizer: OptimizerName
    """One of its own for the head, and one for the convolutions after the cut."""
    learning_rate: LearningRate
    """Of the head."""
    trunk_learning_rate: LearningRate | None
    """Of the convolutions after the cut. Unless it is given: the preset's, or a tenth of the head's."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of a picture's label that is spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: a picture counts the more, the fewer training pictures its class has."""
    epochs: Annotated[int, Field(ge=1, le=1000)]
    """After each of them the model is measured on the validation pictures. See steps_per_epoch for how long one is."""
    batch_size: BatchSize
    """Pictures of a training step."""
    validation_batch_size: BatchSize
    """Pictures of a validation step."""
    steps_per_epoch: Count | None
    """With a number, an epoch is that many steps of batch_size pictures, however many pictures there are, and the next
    one goes on where it stopped: 20 epochs of 4 steps of 30 draw 2,400 pictures. With null it is every picture once."""
    validation_steps: Count | None
    """With a number, each epoch is measured on that many batches of validation_batch_size; with null, on all validation
    pictures. The finished model is measured on all of them in any case."""
    keep: Literal["best", "last"]
    """The weights of the best epoch, by what early_stopping monitors, else by validation loss; or of the last one."""
    early_stopping: EarlyStopping | None = None
    """null: all epochs are trained."""
    augmentation: Augmentation | None = None
    """null: pictures as they are."""
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    """Of every draw: the same seed, recipe and pictures draw the same."""
    preprocessing: Preprocessing
    """caffe: BGR minus the ImageNet means, as VGG16 was trained; none: RGB from 0 to 255."""
    interpolation: Interpolation
    """How pictures are resized to 224 x 224."""
    precision: Precision | Literal["auto"]
    """Of trunk, tail and dense layers, in training and in serving. auto: the service's own GRAFT_PRECISION, which is
    bfloat16 where the hardware has it; a finished model's recipe says which it was."""
    time_budget: Annotated[int, Field(ge=10, le=30 * 86_400)] | None = None
    """Seconds. auto plans within it; any training ends after the epoch in which it runs out. null: none."""

    @model_validator(mode="after")
    def _head_and_cut(self) -> Self:
        if bool(tail_shapes(self.cut)) != (self.trunk_learning_rate is not None):
            raise ValueError(
                "trunk_learning_rate belongs to convolutions after the cut; "
                f"received {self.trunk_learning_rate} with cut {self.cut}."
            )
        if not self.hidden_units and (self.batch_norm or self.dropout):
            raise ValueError("batch_norm and dropout follow a hidden layer; received them with hidden_units [].")
        return self

    @property
    def origin(self) -> tuple[str, int] | None:
        """The version to start from."""
        return version_in(self.init)

    @property
    def input_key(self) -> InputKey:
        """Raises ValueError while the precision is open: `at` settles it."""
        if self.precision == "auto":
            raise ValueError("the precision must be settled before a picture is computed with; it is auto.")
        return InputKey(self.interpolation, self.preprocessing, self.precision)

    def at(self, precision: Precision) -> Self:
        """With an open precision settled."""
        return self.model_copy(update={"precision": precision}) if self.precision == "auto" else self

    @property
    def monitor(self) -> Monitored:
        """What tells a better epoch from a worse one."""
        return self.early_stopping.monitor if self.early_stopping else "val_loss"

    @property
    def feature_pooling(self) -> Literal["avg", "max"] | None:
        """How features are pooled before they are kept: only where nothing but the head comes after the cut."""
        return self.pooling if self.cut == layers.LAST and self.pooling != "flatten" else None

    def head(self, classes: int) -> HeadSpec:
        return HeadSpec(self.pooling, self.hidden_units, self.batch_norm, self.dropout, classes)


def version_in(init: object) -> tuple[str, int] | None:
    """The model and the version that `init` names; None for the other ways to start."""
    found = _VERSION.fullmatch(init) if isinstance(init, str) else None
    return (found[1], int(found[2])) if found else None
