from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graft.errors import Interrupted, InvalidInput, StaleFence
from graft.training.checkpoint import Checkpoints
from graft.training.evaluate import measure
from graft.training.fit import Fitted, fit, in_order, logits_on
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.training.splits import SplitFeatures
from graft.training.step import TrainableGraft
from graft.types import Progress
from graft.vgg16.heads import initial_head
from graft.vgg16.layers import feature_shape, tail_shapes
from tests.clocks import Clock
from tests.monitors import Recorder

CLASSES = ("a", "b", "c")
# Dropout, batch norm, a tail of nothing, and batches that run across the ends of shuffles.
RECIPE = {
    "preset": "feature-extraction",
    "epochs": 4,
    "batch_size": 7,
    "steps_per_epoch": 3,
    "hidden_units": [16],
    "pooling": "avg",
    "seed": 5,
}


def recipe(**asked: Any) -> Recipe:
    return RecipeRequest.parse({**RECIPE, "learning_rate": 1e-2, **asked}).resolve().at("float32")


def split(pictures: int, seed: int) -> SplitFeatures:
    """Pooled features of three classes that a head can tell apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), pictures).astype(np.int32)
    rows = rng.normal(0, 1, (pictures, 512)).astype(np.float32)
    rows[np.arange(pictures), labels] += 6
    return SplitFeatures(CLASSES, labels, lambda indices, _epoch: rows[indices])


TRAINING, VALIDATION = split(31, 1), split(17, 2)


def graft_of(recipe: Recipe) -> TrainableGraft:
    spec = recipe.head(len(CLASSES))
    return TrainableGraft(recipe, spec, initial_head(spec, recipe.seed))


class TimedGraft(TrainableGraft):
    """Takes so many seconds by that clock for a step, more for the first one, and for a picture that is looked at."""

    def __init__(self, recipe: Recipe, clock: Clock, *, step: float, first: float = 0, picture: float = 0) -> None:
        spec = recipe.head(len(CLASSES))
        super().__init__(recipe, spec, initial_head(spec, recipe.seed))
        self._clock, self._seconds, self._first, self._picture = clock, step, first, picture

    def step(self, features: np.ndarray, labels: np.ndarray, number: int) -> tuple[float, int]:
        self._clock.now += self._seconds + self._first
        self._first = 0
        return super().step(features, labels, number)

    def logits(self, features: np.ndarray) -> np.ndarray:
        self._clock.now += self._picture * len(features)
        return super().logits(features)


def run(
    recipe: Recipe,
    folder: Path,
    monitor: Recorder,
    fence: int = 1,
    graft: TrainableGraft | None = None,
    **timing: Any,
) -> Fitted:
    graft = graft or graft_of(recipe)
    return fit(recipe, graft, TRAINING, VALIDATION, Checkpoints(folder, fence), monitor, **timing)


def test_it_learns_and_writes_history(tmp_path: Path) -> None:
    monitor = Recorder()
    fitted = run(recipe(epochs=12, dropout=0.0), tmp_path, monitor)
    assert {name: len(values) for name, values in fitted.history.items()} == dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy"), 12
    )
    assert fitted.history["loss"][-1] < 0.5 * fitted.history["loss"][0]
    assert [data["epoch"] for kind, data in monitor.events if kind == "epoch"] == list(range(1, 13))
    last = monitor.reports[-1]
    assert (last.phase, last.epoch, last.epochs, last.step, last.steps) == ("training", 12, 12, 3, 3)
    assert last.rate is not None
    assert last.eta_seconds is not None


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("stop_after", [1, 3, 5, 10])
def test_a_run_resumed_at_any_step_ends_as_the_uninterrupted_one(tmp_path: Path, stop_after: int, keep: str) -> None:
    asked = recipe(keep=keep)
    whole = run(asked, tmp_path / "whole", Recorder())
    with pytest.raises(Interrupted):
        run(asked, tmp_path / "parts", Recorder(stop_after=stop_after), fence=1)
    monitor = Recorder()
    resumed = run(asked, tmp_path / "parts", monitor, fence=2)
    # A stop after an epoch's last step is heard before its validation is over.
    assert monitor.events[0] == (
        "resumed",
        {"epoch": (stop_after - 1) // 3 + 1, "steps_done": (stop_after - 1) % 3 + 1},
    )
    assert len(monitor.reports) == 12 - stop_after
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], array, err_msg=name)


def test_a_run_that_was_killed_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    """No last word: what counts is the checkpoint that every epoch leaves where saving takes no time to speak of."""

    class Killed(Recorder):
        def report(self, progress: Any) -> None:
            super().report(progress)
            if len(self.reports) == 8:
                raise KeyboardInterrupt

    asked = recipe()
    with pytest.raises(KeyboardInterrupt):
        run(asked, tmp_path, Killed(), clock=Clock())
    monitor = Recorder()
    resumed = run(asked, tmp_path, monitor, fence=2)
    assert monitor.events[0] == ("resumed", {"epoch": 3, "steps_done": 0})
    assert resumed.history == run(asked, tmp_path / "whole", Recorder()).history


def test_a_long_epoch_is_saved_within_too(tmp_path: Path) -> None:
    """Half a minute of steps is the most that a kill may cost."""

    class Killed(Recorder):
        def report(self, progress: Any) -> None:
            super().report(progress)
            if len(self.reports) == 8:
                raise KeyboardInterrupt

    asked, clock = recipe(steps_per_epoch=12, epochs=1), Clock()
    with pytest.raises(KeyboardInterrupt):
        run(asked, tmp_path, Killed(), graft=TimedGraft(asked, clock, step=10.0), clock=clock)
    resumed = run(asked, tmp_path, monitor := Recorder(), fence=2)
    assert monitor.events[0] == ("resumed", {"epoch": 1, "steps_done": 6})
    assert resumed.history == run(asked, tmp_path / "whole", Recorder()).history


@pytest.mark.parametrize("monitored", ["val_loss", "val_accuracy"])
def test_early_stopping_waits_for_patience_and_keeps_the_best(tmp_path: Path, monitored: str) -> None:
    stopping = {"monitor": monitored, "patience": 2}
    asked = recipe(keep="best", epochs=30, learning_rate=0.5, dropout=0.0, early_stopping=stopping)
    fitted = run(asked, tmp_path, monitor := Recorder())
    values = fitted.history[monitored]
    assert len(values) < 30, "it was not stopped"
    best = int(np.argmin(values) if monitored == "val_loss" else np.argmax(values)) + 1
    assert fitted.best_epoch == best == len(values) - 2
    assert monitor.events[-1] == ("early_stopping", {"epoch": len(values), "of": 30})
    again = run(asked, tmp_path, monitor := Recorder(), fence=2)
    assert (again.history, monitor.reports) == (fitted.history, []), "a run that was over has gone on"


def test_a_time_budget_ends_it_after_its_epoch_and_counts_earlier_claims(tmp_path: Path) -> None:
    """Epochs of three steps of 10 s: the budget runs out in the second one, part of which another claim has done."""
    asked, clock = recipe(time_budget=40, validation_steps=None), Clock()
    with pytest.raises(Interrupted):
        run(asked, tmp_path, Recorder(stop_after=4), graft=TimedGraft(asked, clock, step=10.0), clock=clock)
    clock.now += 1000
    monitor = Recorder()
    fitted = run(asked, tmp_path, monitor, 2, graft=TimedGraft(asked, clock, step=10.0), clock=clock)
    assert len(fitted.history["loss"]) == 2
    assert monitor.events[-1] == ("time_budget", {"epoch": 2, "of": 4})


def test_a_time_budget_counts_what_came_before_the_first_epoch(tmp_path: Path) -> None:
    asked, clock = recipe(time_budget=40, validation_steps=None), Clock()
    fitted = run(asked, tmp_path, Recorder(), graft=TimedGraft(asked, clock, step=10.0), clock=clock, spent=15.0)
    assert len(fitted.history["loss"]) == 1


def test_the_eta_is_right_within_a_fifth_from_the_second_epoch_on(tmp_path: Path) -> None:
    """The first step and the first validation take longer, as they do; the evaluation to come is counted in."""
    asked, clock = recipe(epochs=6, validation_steps=None), Clock()
    said: list[tuple[float, float]] = []

    class Listener(Recorder):
        def report(self, progress: Progress) -> None:
            super().report(progress)
            if progress.epoch is not None and progress.epoch > 1 and progress.eta_seconds is not None:
                said.append((clock.now, progress.eta_seconds))

    graft = TimedGraft(asked, clock, step=2.0, first=9.0, picture=0.2)
    run(asked, tmp_path, Listener(), graft=graft, clock=clock, to_evaluate=50)
    end = clock.now + 50 * 0.2
    assert len(said) == 15
    for at, eta in said:
        assert eta == pytest.approx(end - at, rel=0.2)


def test_a_failing_read_ends_the_training_with_its_error(tmp_path: Path) -> None:
    def broken(_indices: np.ndarray, _epoch: int) -> np.ndarray:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        fit(
            recipe(),
            graft_of(recipe()),
            replace(TRAINING, features=broken),
            VALIDATION,
            Checkpoints(tmp_path, 1),
            Recorder(),
        )


def test_keep_best_keeps_the_weights_of_the_lowest_validation_loss(tmp_path: Path) -> None:
    asked = recipe(keep="best", epochs=8, learning_rate=0.5, dropout=0.0)
    fitted = run(asked, tmp_path, Recorder())
    losses = fitted.history["val_loss"]
    assert fitted.best_epoch == 1 + int(np.argmin(losses))
    assert fitted.best_epoch < 8, "the last epoch is the best: the test says nothing"
    shorter = run(
        recipe(**{**asked.model_dump(), "epochs": fitted.best_epoch, "keep": "last"}), tmp_path / "b", Recorder()
    )
    for name, array in shorter.weights.items():
        np.testing.assert_array_equal(fitted.weights[name], array, err_msg=name)


def test_a_claim_that_is_lost_writes_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(StaleFence):
        run(recipe(), tmp_path, Recorder(lost=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("validation", [VALIDATION, split(0, 3)])
def test_a_training_that_diverges_says_so(tmp_path: Path, validation: SplitFeatures) -> None:
    asked = recipe(optimizer="sgd", learning_rate=1.0, hidden_units=[64, 64, 64], batch_norm=False, epochs=9)
    wild = replace(TRAINING, features=lambda indices, epoch: 1e18 * TRAINING.features(indices, epoch))
    with pytest.raises(InvalidInput, match="the training has diverged"):
        fit(asked, graft_of(asked), wild, validation, Checkpoints(tmp_path, 1), Recorder())


def test_a_stop_during_validation_is_heard_and_costs_no_step(tmp_path: Path) -> None:
    class StopsAfterTheLastStep(Recorder):
        def stop_requested(self) -> bool:
            return bool(self.reports) and self.reports[-1].step == 3

    asked = recipe()
    with pytest.raises(Interrupted, match="stopped in epoch 1 after step 3"):
        run(asked, tmp_path, StopsAfterTheLastStep())
    resumed = run(asked, tmp_path, monitor := Recorder(), fence=2)
    assert len(monitor.reports) == 9
    assert resumed.history == run(asked, tmp_path / "whole", Recorder()).history


def test_a_tail_is_resumed_too(tmp_path: Path) -> None:
    asked = recipe(preset="fine-tuning", cut="block5_conv2", hidden_units=[], batch_size=2, epochs=2)
    rng = np.random.default_rng(8)
    rows = rng.uniform(0, 9, (8, *feature_shape("block5_conv2"))).astype(np.float32)
    features = SplitFeatures(CLASSES, rng.integers(0, 3, 8).astype(np.int32), lambda indices, _epoch: rows[indices])
    tail = {name: 0.02 * rng.normal(0, 1, shape).astype(np.float32) for name, shape in tail_shapes(asked.cut).items()}

    def train(folder: str, monitor: Recorder, fence: int) -> Fitted:
        spec = asked.head(len(CLASSES))
        graft = TrainableGraft(asked, spec, {**tail, **initial_head(spec, asked.seed)})
        return fit(asked, graft, features, features, Checkpoints(tmp_path / folder, fence), monitor)

    whole = train("whole", Recorder(), 1)
    with pytest.raises(Interrupted):
        train("parts", Recorder(stop_after=4), 1)
    resumed = train("parts", Recorder(), 2)
    assert resumed.history == whole.history
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], array, err_msg=name)
        assert name not in tail or not np.array_equal(array, tail[name]), f"{name} was not trained"


def test_without_validation_pictures_the_last_weights_are_kept(tmp_path: Path) -> None:
    asked = recipe()
    fitted = fit(asked, graft_of(asked), TRAINING, split(0, 3), Checkpoints(tmp_path, 1), Recorder())
    assert fitted.best_epoch is None
    assert fitted.history["val_loss"] == []


def test_validation_without_steps_sees_every_picture_once(tmp_path: Path) -> None:
    asked = recipe(validation_steps=None, validation_batch_size=5, epochs=1)
    graft = graft_of(asked)
    fitted = fit(asked, graft, TRAINING, VALIDATION, Checkpoints(tmp_path, 1), Recorder())
    whole = measure(logits_on(VALIDATION, in_order(17, 17), graft, lambda _pictures: None), VALIDATION.labels)
    assert fitted.history["val_loss"] == [pytest.approx(whole["loss"], rel=1e-5)]
