"""The training loop: epochs over features, history, the best weights, checkpoints, and resuming at the very step."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from graft.errors import Interrupted, InvalidInput
from graft.training.checkpoint import Arrays, Checkpoint, Checkpoints, History, RunState
from graft.training.evaluate import measure
from graft.training.pace import Pace, Work
from graft.training.read_ahead import read_ahead
from graft.training.recipe import Recipe
from graft.training.sampling import Batches, Indices
from graft.training.splits import SplitFeatures
from graft.training.step import TrainableGraft
from graft.types import Monitor, Progress

TRAINING_STREAM, VALIDATION_STREAM = 0, 1
SAVE_SECONDS = 30.0  # of steps, after which the state is saved within an epoch too
SAVE_SHARE = 20  # a save waits for that many times what the last one took: saving takes 5 % of the time at most


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
    *,
    to_evaluate: int = 0,
    spent: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Fitted:
    """Train until the recipe says that it is over, from the newest checkpoint if there is one.

    to_evaluate: how many pictures the caller goes on to evaluate, for the ETA. spent: seconds of the time budget that
    are gone before the first epoch. clock: seconds. Raises InvalidInput when the training has diverged, Interrupted
    once the state is saved after a request to stop, StaleFence when the claim is lost, DiskFull.
    """
    run, best = RunState(seconds=spent), {}
    if checkpoint := checkpoints.latest():
        run, best = checkpoint.run, checkpoint.best
        graft.restore(checkpoint.state)
        monitor.event("resumed", {"epoch": run.epoch + 1, "steps_done": run.step})
    loop = _Loop(recipe, graft, training, validation, checkpoints, monitor, run, best, to_evaluate, clock)
    while run.step or not loop.ending():
        loop.epoch()
    best_epoch = run.best_epoch(recipe.monitor)
    kept = loop.best if recipe.keep == "best" else graft.weights()
    return Fitted(kept, run.history, None if best_epoch is None else best_epoch + 1)


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
    to_evaluate: int
    clock: Callable[[], float]
    save_took: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        recipe, pictures = self.recipe, len(self.training)
        self.batches = Batches(pictures, recipe.batch_size, recipe.steps_per_epoch, recipe.seed, TRAINING_STREAM)
        checked = sum(map(len, self._validation_batches()))
        self.work = Work(recipe.epochs, self.batches.drawn, checked, self.to_evaluate, recipe.time_budget)
        self.learning, self.checking = Pace(self.clock), Pace(self.clock)
        self.saved = self.clock()
        self.began = self.saved - self.run.seconds  # as if the claims before this one had followed on each other

    def epoch(self) -> None:
        """From the step that the run is at to the end of its epoch, and the validation."""
        run = self.run
        batches = [self.batches.batch(run.epoch, step) for step in range(run.step, self.batches.steps)]
        self.learning.begin()
        with read_ahead(lambda indices: self.training.features(indices, run.epoch), batches) as rows:
            for indices, features in zip(batches, rows, strict=True):
                self._stop_if_asked()
                loss, correct = self.graft.step(features, self.training.labels[indices], self._steps_done())
                run.loss_sum, run.correct, run.seen = (
                    run.loss_sum + loss,
                    run.correct + correct,
                    run.seen + len(indices),
                )
                run.step += 1
                self._save_if_due(SAVE_SECONDS)
                self.learning.lap(len(indices))
                self.monitor.report(self._progress())
        self._close_epoch()

    def ending(self) -> str | None:
        """Between two epochs: what ends the training here, if anything does."""
        recipe, run = self.recipe, self.run
        if run.epoch == recipe.epochs:
            return "epochs"
        if recipe.early_stopping and run.epochs_since_best(recipe.monitor) >= recipe.early_stopping.patience:
            return "early_stopping"
        if recipe.time_budget is not None and run.seconds >= recipe.time_budget:
            return "time_budget"
        return None

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
        for name, value in line.items():
            run.history[name].append(value)
        if self.recipe.keep == "best" and run.best_epoch(self.recipe.monitor) == run.epoch:
            self.best = self.graft.weights()
        run.epoch, run.step, run.loss_sum, run.correct, run.seen = run.epoch + 1, 0, 0.0, 0, 0
        run.seconds = self.clock() - self.began
        self.monitor.event("epoch", {"epoch": run.epoch, **line})
        if ending := self.ending():
            if ending != "epochs":
                self.monitor.event(ending, {"epoch": run.epoch, "of": self.recipe.epochs})
            self._save()  # so that the evaluation to come can be stopped
        else:
            self._save_if_due(0)

    def _validate(self) -> dict[str, float]:
        batches = self._validation_batches()
        self.checking.begin()
        logits = logits_on(self.validation, batches, self.graft, lambda _pictures: self._stop_if_asked())
        self.checking.lap(len(logits))
        result = measure(logits, self.validation.labels[np.concatenate(batches)])
        return {"val_loss": result["loss"], "val_accuracy": result["accuracy"]}

    def _validation_batches(self) -> list[Indices]:
        """Of the epoch that the run is at."""
        recipe, pictures = self.recipe, len(self.validation)
        if recipe.validation_steps is None or not pictures:
            return in_order(pictures, recipe.validation_batch_size)
        size, steps = recipe.validation_batch_size, recipe.validation_steps
        draws = Batches(pictures, size, steps, recipe.seed, VALIDATION_STREAM)
        return [draws.batch(self.run.epoch, step) for step in range(steps)]

    def _stop_if_asked(self) -> None:
        if self.monitor.stop_requested():
            self._save()
            raise Interrupted(f"stopped in epoch {self.run.epoch + 1} after step {self.run.step}; the state is saved.")

    def _save_if_due(self, seconds: float) -> None:
        """Save when so many seconds have passed since the last time, and enough for what it took."""
        if self.clock() - self.saved >= max(seconds, SAVE_SHARE * self.save_took):
            self._save()

    def _save(self) -> None:
        self.monitor.guard()
        began = self.clock()
        self.run.seconds = began - self.began
        self.checkpoints.save(Checkpoint(self.run, self.graft.state(), self.best))
        self.saved = self.clock()
        self.save_took = self.saved - began

    def _steps_done(self) -> int:
        return self.run.epoch * self.batches.steps + self.run.step

    def _progress(self) -> Progress:
        run, rate, eta = self.run, self.learning.rate, None
        if rate is not None:
            spent = self.clock() - self.began
            eta = round(self.work.seconds_left(run.epoch, run.seen, spent, rate, self.checking.rate), 1)
            rate = round(rate, 1)
        return Progress("training", run.epoch + 1, self.recipe.epochs, run.step, self.batches.steps, rate, eta)


def logits_on(
    split: SplitFeatures, batches: Sequence[Indices], graft: TrainableGraft, after_each: Callable[[int], None]
) -> np.ndarray:
    """(pictures, classes) float32, of the split's pictures in these batches.

    `after_each` batch a caller hears how many pictures it had, and may stop by an error.
    """
    logits = []
    with read_ahead(lambda batch: split.features(batch, 0), batches) as rows:
        for features in rows:
            logits.append(graft.logits(features))
            after_each(len(features))
    return np.concatenate(logits)


def in_order(pictures: int, batch_size: int) -> list[Indices]:
    return [np.arange(first, min(first + batch_size, pictures)) for first in range(0, pictures, batch_size)]
