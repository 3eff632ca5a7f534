"""The training loop: epochs over features, history, the best weights, checkpoints, and resuming at the very step."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from graft.errors import Interrupted, InvalidInput
from graft.training.checkpoint import Arrays, Checkpoint, Checkpoints, History, RunState
from graft.training.evaluate import measure
from graft.training.recipe import Recipe
from graft.training.sampling import Batches, Indices
from graft.training.splits import SplitFeatures
from graft.training.step import TrainableGraft
from graft.types import Monitor, Progress

TRAINING_STREAM, VALIDATION_STREAM = 0, 1


@dataclass(frozen=True)
class Fitted:
    """The weights that the recipe keeps, the history by epoch, and the best epoch (from 1; None without validation)."""

    weights: Arrays
    history: History
    best_epoch: int | None


def fit(
    recipe: Recipe,
    graft: TrainableGraft,
    training: SplitFeatures,
    validation: SplitFeatures,
    checkpoints: Checkpoints,
    monitor: Monitor,
) -> Fitted:
    """Train to the recipe's last epoch, from the newest checkpoint if there is one.

    Raises InvalidInput when the training has diverged, Interrupted once the state is saved after a request to stop,
    StaleFence when the claim is lost, DiskFull.
    """
    run, best = RunState(), {}
    if checkpoint := checkpoints.latest():
        run, best = checkpoint.run, checkpoint.best
        graft.restore(checkpoint.state)
        monitor.event("resumed", {"epoch": run.epoch + 1, "steps_done": run.step})
    loop = _Loop(recipe, graft, training, validation, checkpoints, monitor, run, best)
    while run.epoch < recipe.epochs:
        loop.epoch()
    kept, losses = loop.best if recipe.keep == "best" else graft.weights(), run.history["val_loss"]
    return Fitted(kept, run.history, 1 + losses.index(min(losses)) if losses else None)


@dataclass
class _Loop:
    recipe: Recipe
    graft: TrainableGraft
    training: SplitFeatures
    validation: SplitFeatures
    checkpoints: Checkpoints
    monitor: Monitor
    run: RunState
    best: Arrays

    def __post_init__(self) -> None:
        recipe = self.recipe
        pictures = len(self.training)
        self.batches = Batches(pictures, recipe.batch_size, recipe.steps_per_epoch, recipe.seed, TRAINING_STREAM)
        self.started, self.steps_before = time.monotonic(), self._steps_done()

    def epoch(self) -> None:
        run = self.run
        while run.step < self.batches.steps:
            self._stop_if_asked()
            indices = self.batches.batch(run.epoch, run.step)
            labels = self.training.labels[indices]
            loss, correct = self.graft.step(self.training.features(indices, run.epoch), labels, self._steps_done())
            run.loss_sum, run.correct, run.seen = run.loss_sum + loss, run.correct + correct, run.seen + len(indices)
            run.step += 1
            self.monitor.report(self._progress(run.epoch + 1, run.step))
        self._close_epoch()
        self._save()

    def _stop_if_asked(self) -> None:
        if self.monitor.stop_requested():
            self._save()
            raise Interrupted(f"stopped in epoch {self.run.epoch + 1} after step {self.run.step}; the state is saved.")

    def _close_epoch(self) -> None:
        run = self.run
        line = {"loss": run.loss_sum / run.seen, "accuracy": run.correct / run.seen}
        if not math.isfinite(line["loss"]):
            raise InvalidInput(
                f"A training's loss must stay finite; in epoch {run.epoch + 1} it is {line['loss']}: the training has "
                "diverged. Train again with a lower learning rate."
            )
        if len(self.validation):
            line |= self._validate()
            best_so_far = min(run.history["val_loss"], default=math.inf)
            if self.recipe.keep == "best" and line["val_loss"] < best_so_far:
                self.best = self.graft.weights()
        for name, value in line.items():
            run.history[name].append(value)
        run.epoch, run.step, run.loss_sum, run.correct, run.seen = run.epoch + 1, 0, 0.0, 0, 0
        self.monitor.event("epoch", {"epoch": run.epoch, **line})

    def _validate(self) -> dict[str, float]:
        recipe, pictures = self.recipe, len(self.validation)
        if recipe.validation_steps is None:
            indices: Sequence[Indices] = in_order(pictures, recipe.validation_batch_size)
        else:
            draws = Batches(
                pictures, recipe.validation_batch_size, recipe.validation_steps, recipe.seed, VALIDATION_STREAM
            )
            indices = [draws.batch(self.run.epoch, step) for step in range(draws.steps)]
        logits = logits_on(self.validation, indices, self.graft, self._stop_if_asked)
        result = measure(logits, self.validation.labels[np.concatenate(indices)])
        return {"val_loss": result["loss"], "val_accuracy": result["accuracy"]}

    def _save(self) -> None:
        self.monitor.guard()
        self.checkpoints.save(Checkpoint(self.run, self.graft.state(), self.best))

    def _steps_done(self) -> int:
        return self.run.epoch * self.batches.steps + self.run.step

    def _progress(self, epoch: int, step: int) -> Progress:
        """The ETA counts validation in, once an epoch has shown what it costs."""
        done = self._steps_done()
        rate = (time.monotonic() - self.started) / (done - self.steps_before)
        left = self.recipe.epochs * self.batches.steps - done
        return Progress("training", epoch, self.recipe.epochs, step, self.batches.steps, round(rate * left, 1))


def logits_on(
    split: SplitFeatures, batches: Sequence[Indices], graft: TrainableGraft, before_each: Callable[[], None]
) -> np.ndarray:
    """(pictures, classes) float32, of the split's pictures in these batches. `before_each` batch, a caller may stop."""
    logits = []
    for batch in batches:
        before_each()
        logits.append(graft.logits(split.features(batch, 0)))
    return np.concatenate(logits)


def in_order(pictures: int, batch_size: int) -> list[Indices]:
    return [np.arange(first, min(first + batch_size, pictures)) for first in range(0, pictures, batch_size)]
