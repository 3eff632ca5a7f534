"""Which pictures make which batch: a pure function of (seed, epoch, step), so that a resumed run draws the same."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batches:
    """The batches of one split. Epochs and steps count from 0; `stream` keeps the draws of two splits apart.

    With `steps_per_epoch`, seeded shuffles of the split follow one another without end and every batch is full, across
    the ends of epochs too. Without it an epoch is one shuffle, and its last batch takes what is left.
    """

    pictures: int
    batch_size: int
    steps_per_epoch: int | None
    seed: int
    stream: int

    @property
    def steps(self) -> int:
        """Steps of one epoch."""
        return self.steps_per_epoch or -(-self.pictures // self.batch_size)

    @property
    def drawn(self) -> int:
        """Pictures of one epoch, the same one perhaps more than once."""
        return self.pictures if self.steps_per_epoch is None else self.steps_per_epoch * self.batch_size

    def batch(self, epoch: int, step: int) -> Indices:
        """Indices into the split, (batch,) int64."""
        if self.steps_per_epoch is None:
            return self._shuffled(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        first = (epoch * self.steps_per_epoch + step) * self.batch_size
        positions = np.arange(first, first + self.batch_size)
        rounds = positions // self.pictures
        shuffles = {r: self._shuffled(int(r)) for r in np.unique(rounds)}
        return np.array([shuffles[r][p % self.pictures] for r, p in zip(rounds, positions, strict=True)], np.int64)

    def _shuffled(self, round_: int) -> Indices:
        return _shuffled(self.pictures, self.seed, self.stream, round_)


@lru_cache(maxsize=4)  # an epoch asks for its shuffle at every step
def _shuffled(pictures: int, seed: int, stream: int, round_: int) -> Indices:
    order = np.random.default_rng([seed, stream, round_]).permutation(pictures)
    order.setflags(write=False)
    return order
