"""How fast a training goes, and when it will be over."""

import math
from collections.abc import Callable
from dataclasses import dataclass

HALF_LIFE = 60.0  # seconds until what was measured counts half: the machine may be doing other things by now
FORWARD_SHARE = 3  # validation goes forward only, a step back as well, which is twice as much


class Pace:
    """Pictures a second of one kind of work, from lap to lap; newer laps count more.

    The first lap also pays for what is done once, and counts only until there is another.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._laps = 0
        self._pictures = self._seconds = 0.0
        self.begin()

    def begin(self) -> None:
        """A lap begins now: what came before was something else."""
        self._began = self._clock()

    def lap(self, pictures: int) -> None:
        """So many were done since the lap began, and the next one begins."""
        seconds = self._clock() - self._began
        kept = 0.0 if self._laps == 1 else 0.5 ** (seconds / HALF_LIFE)
        self._pictures, self._seconds = self._pictures * kept + pictures, self._seconds * kept + seconds
        self._laps += 1
        self.begin()

    @property
    def rate(self) -> float | None:
        """None until something has been measured."""
        return self._pictures / self._seconds if self._seconds else None


@dataclass(frozen=True)
class Work:
    """What a training has to do, in pictures: training and validation in each epoch, evaluation once after the last."""

    epochs: int
    training: int
    validation: int
    evaluation: int
    time_budget: float | None  # seconds

    def seconds_left(
        self, epoch: int, seen: int, spent: float, training_rate: float, validation_rate: float | None
    ) -> float:
        """Until the evaluation is done, at the latest: early stopping may end it sooner.

        epoch: from 0, the one that is running, with `seen` pictures behind it; spent: seconds of the time budget.
        """
        forward = validation_rate or FORWARD_SHARE * training_rate
        whole = self.training / training_rate + self.validation / forward
        this = whole - seen / training_rate
        more = self.epochs - epoch - 1
        if self.time_budget is not None:
            more = min(more, max(0, math.ceil((self.time_budget - spent - this) / whole)))
        return this + more * whole + self.evaluation / forward
