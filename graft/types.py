"""Words that several rooms share: what enters the trunk, and how a running job reports."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

Interpolation = Literal["nearest", "bilinear", "lanczos"]
Preprocessing = Literal["caffe", "none"]
Precision = Literal["float32", "bfloat16"]
PrecisionSetting = Precision | Literal["auto"]  # auto: bfloat16 where the hardware has it
Phase = Literal["validating", "planning", "extracting", "training", "evaluating", "publishing"]

# Raise it whenever the same picture would come out with other pixels: it is part of every feature's key.
PIXELS_VERSION = 1


@dataclass(frozen=True)
class InputKey:
    """What decides the numbers that enter the trunk for one picture (224x224 RGB always).

    interpolation: the filter that resizes; preprocessing: `caffe` (BGR minus the ImageNet means) or `none` (RGB 0-255).
    """

    interpolation: Interpolation = "nearest"
    preprocessing: Preprocessing = "caffe"
    precision: Precision = "float32"
    pixels: int = PIXELS_VERSION

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """Where a running job is. Epochs and steps count from 1; rate: pictures a second of this phase.

    rate and eta_seconds (to the end of the job, as far as it is known) are None until something has been measured.
    """

    phase: Phase
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    rate: float | None = None
    eta_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Monitor(Protocol):
    """A job's line to whoever watches it. The worker's one writes to the database; tests keep lists."""

    def report(self, progress: Progress) -> None:
        """Say where the job is. Cheap: call it at every step, the monitor thins it out."""

    def event(self, type: str, data: Mapping[str, Any]) -> None:
        """Append to the job's event log. Raises StaleFence when the claim is lost."""

    def guard(self) -> None:
        """Raise StaleFence unless this process still owns the job. Call it before anything is written for keeps."""

    def stop_requested(self) -> bool:
        """True once the job must save its state and raise Interrupted."""
