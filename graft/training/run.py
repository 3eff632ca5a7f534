"""One training job, from its pinned revision to a published version: plan, features, fit, evaluation, publish."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from graft.datasets import Manifest
from graft.datasets.manifest import Split
from graft.errors import Interrupted, InvalidInput
from graft.registry import Registry, layer_table
from graft.training.card import card_of
from graft.training.checkpoint import CHECKPOINTS, Checkpoints
from graft.training.evaluate import Outputs, evaluated
from graft.training.features import FeatureStore
from graft.training.fit import fit, in_order, logits_on
from graft.training.initial import initial_weights
from graft.training.order import Order, Stores, Subject
from graft.training.pace import Pace
from graft.training.plan.planning import Plan, plan
from graft.training.plan.sources import Sources, kind_of
from graft.training.precision import settled
from graft.training.presets import check_validation
from graft.training.publish import publish
from graft.training.recipe import Recipe
from graft.training.splits import SplitFeatures, open_splits
from graft.training.step import TrainableGraft
from graft.types import Monitor, PrecisionSetting, Progress
from graft.vgg16.devices import devices, native_precisions
from graft.vgg16.layers import trainable_parameters
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weights import TrunkWeights

Settle = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class TrainOutcome:
    """The published version, and its metrics as the card has them."""

    version: int
    metrics: dict[str, Any]


def train_job(
    order: Order,
    stores: Stores,
    *,
    precision: PrecisionSetting,
    monitor: Monitor,
    reserved: int | None,
    reserve: Callable[[str], int],
    settle: Settle,
) -> TrainOutcome:
    """Do the job, or what an earlier claim of it left to do.

    precision: the service's, for a recipe that leaves it open. `reserved`: the version that an earlier claim has
    reserved; `reserve` gives the job's version of a model, always the same one. `settle` puts the recipe in the order's
    place, once it is no longer open: a later claim goes on by it. Raises InvalidInput for a recipe that data or
    hardware cannot serve, Interrupted, StaleFence, MissingWeights, DiskFull.
    """
    began = time.monotonic()
    if order.model is None:
        raise InvalidInput(f"A train job needs a model's name; {order.id} has none.")
    checkpoints = Checkpoints(stores.home / CHECKPOINTS / order.id, order.fence)
    if reserved is not None and reserved in stores.registry.versions(order.model):
        checkpoints.clear()
        return TrainOutcome(reserved, stores.registry.card(order.model, reserved).metrics)
    subject = Subject.of(order, stores.datasets)
    trunk = cache(stores.weights.trunk)
    sources = _sources(subject, stores, trunk, precision)
    recipe = _settled(subject, sources, monitor)
    if recipe.model_dump(mode="json") != order.recipe:
        settle(recipe.model_dump(mode="json"))
    manifest, kind = subject.manifest, kind_of(recipe)
    graft = _graft(recipe, manifest, trunk(), stores.registry, monitor)
    with open_splits(
        stores.datasets,
        subject.dataset,
        manifest,
        sources.store,
        kind,
        sources.trunk,
        monitor,
        recipe.augmentation,
        recipe.seed,
    ) as splits:
        to_evaluate = len(splits["validation"]) + len(splits["test"])
        fitted = fit(
            recipe,
            graft,
            splits["train"],
            splits["validation"],
            checkpoints,
            monitor,
            to_evaluate=to_evaluate,
            spent=time.monotonic() - began,
        )
        graft.load(fitted.weights)
        evaluations, temperature = evaluated(_outputs(recipe, manifest, splits, graft, monitor), manifest.classes)
    monitor.report(Progress("publishing"))
    version = reserve(order.model)
    card = card_of(order.id, order.model, version, subject, recipe, fitted, evaluations, temperature)
    publish(stores.registry, card, fitted, evaluations, manifest.counts(), monitor.guard)
    checkpoints.clear()
    return TrainOutcome(card.version, card.metrics)


def plan_job(order: Order, stores: Stores, *, precision: PrecisionSetting, monitor: Monitor) -> Plan:
    """What a training by the order's recipe would begin with. Raises as `train_job` does."""
    subject = Subject.of(order, stores.datasets)
    return plan(subject.request, _sources(subject, stores, stores.weights.trunk, precision), monitor)


def _sources(subject: Subject, stores: Stores, trunk: Callable[[], TrunkWeights], setting: PrecisionSetting) -> Sources:
    precision = settled(subject.request.resolve().precision, setting, native_precisions())
    return Sources(
        stores.datasets,
        subject.dataset,
        subject.manifest,
        FeatureStore(stores.home / "features", stores.features_budget),
        cache(lambda: TensorFlowTrunk(trunk(), precision, devices()[0])),
        precision,
    )


def _settled(subject: Subject, sources: Sources, monitor: Monitor) -> Recipe:
    """The recipe as it is, or as a plan makes it where it is open."""
    if subject.request.open:
        made = plan(subject.request, sources, monitor)
        monitor.event("plan", made.as_dict())
        recipe = made.recipe
    else:
        recipe = subject.request.resolve().at(sources.precision)
    check_validation(recipe, len(subject.manifest.of("validation")))
    return recipe


def _graft(
    recipe: Recipe, manifest: Manifest, trunk: TrunkWeights, registry: Registry, monitor: Monitor
) -> TrainableGraft:
    """As the training begins with it; its layers go into the event log."""
    classes = manifest.classes
    spec = recipe.head(len(classes))
    table, trainable = layer_table(recipe.cut, spec), trainable_parameters(recipe.cut, spec)
    monitor.event(
        "summary",
        {
            "trainable_parameters": trainable,
            "frozen_parameters": sum(row.parameters for row in table) - trainable,
            "layers": [row.model_dump(mode="json") for row in table],
        },
    )
    labels = np.array([picture.label for picture in manifest.of("train")], np.int32)
    return TrainableGraft(recipe, spec, initial_weights(recipe, spec, classes, trunk, registry), labels)


def _outputs(
    recipe: Recipe,
    manifest: Manifest,
    splits: Mapping[str, SplitFeatures],
    graft: TrainableGraft,
    monitor: Monitor,
) -> dict[str, Outputs]:
    """Of every picture of validation and test, once. The last epoch's checkpoint is there: a stop loses only this."""

    measured: list[Split] = [name for name in ("validation", "test") if len(splits[name])]
    total, done, pace = sum(len(splits[name]) for name in measured), 0, Pace(time.monotonic)

    def seen(pictures: int) -> None:
        nonlocal done
        if monitor.stop_requested():
            raise Interrupted("stopped while evaluating; the training is saved.")
        done += pictures
        pace.lap(pictures)
        rate = pace.rate
        left = rate and round((total - done) / rate, 1)
        monitor.report(Progress("evaluating", step=done, steps=total, rate=rate and round(rate, 1), eta_seconds=left))

    def outputs(name: Split) -> Outputs:
        split = splits[name]
        batches = in_order(len(split), recipe.validation_batch_size)
        paths = [picture.path for picture in manifest.of(name)]
        return Outputs(logits_on(split, batches, graft, seen), split.labels, paths)

    monitor.report(Progress("evaluating", step=0, steps=total))
    return {name: outputs(name) for name in measured}
