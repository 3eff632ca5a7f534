"""One training job, from its pinned revision to a published version: features, fit, evaluation, publish."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from graft.datasets import Datasets, Manifest
from graft.datasets.manifest import Split
from graft.errors import Interrupted, InvalidInput
from graft.registry import ModelCard, Registry, layer_table
from graft.training.checkpoint import CHECKPOINTS, Checkpoints
from graft.training.evaluate import Evaluations, Outputs, evaluated
from graft.training.features import FeatureKind, FeatureStore
from graft.training.fit import Fitted, fit, in_order, logits_on
from graft.training.presets import RecipeRequest, check_validation
from graft.training.publish import parameter_table, publish, shared_parameters
from graft.training.recipe import Recipe
from graft.training.splits import SplitFeatures, open_splits
from graft.training.step import TrainableGraft
from graft.types import Monitor, Progress
from graft.vgg16.heads import by_parameter, initial_head
from graft.vgg16.layers import LAST, between, tail_shapes
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weights import TRUNK_DIGEST, TrunkWeights, WeightStore


class TrainingOrder(Protocol):
    """What a training job asks for; a row of the job table has these fields."""

    @property
    def id(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    @property
    def dataset(self) -> str | None: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def recipe(self) -> dict[str, Any] | None: ...
    @property
    def fence(self) -> int: ...


class Stores(Protocol):
    """Where a training reads and writes. `home`: the folder that holds `features` and `checkpoints`.

    features_budget: bytes; None for the feature store's own choice.
    """

    @property
    def datasets(self) -> Datasets: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def weights(self) -> WeightStore: ...
    @property
    def home(self) -> Path: ...
    @property
    def features_budget(self) -> int | None: ...


@dataclass(frozen=True)
class TrainOutcome:
    """The published version, and its metrics as the card has them."""

    version: int
    metrics: dict[str, Any]


@dataclass(frozen=True)
class _Task:
    """A training order, checked, with what it names read."""

    job: str
    model: str
    dataset: str
    manifest: Manifest
    recipe: Recipe


def train_job(
    order: TrainingOrder,
    stores: Stores,
    *,
    monitor: Monitor,
    reserved: int | None,
    reserve: Callable[[str], int],
) -> TrainOutcome:
    """Do the job, or what an earlier claim of it left to do.

    `reserved`: the version that an earlier claim has reserved; `reserve` gives the job's version of a model, always the
    same one. Raises InvalidInput for a recipe that the data cannot serve, Interrupted, StaleFence, MissingWeights,
    DiskFull.
    """
    task = _read(order, stores.datasets)
    checkpoints = Checkpoints(stores.home / CHECKPOINTS / task.job, order.fence)
    if reserved is not None and reserved in stores.registry.versions(task.model):
        checkpoints.clear()
        return TrainOutcome(reserved, stores.registry.card(task.model, reserved).metrics)
    recipe, trunk = task.recipe, stores.weights.trunk()
    kind = FeatureKind(recipe.input_key, TRUNK_DIGEST, recipe.cut, recipe.feature_pooling)
    store = FeatureStore(stores.home / "features", stores.features_budget)
    with open_splits(
        stores.datasets,
        task.dataset,
        task.manifest,
        store,
        kind,
        lambda: TensorFlowTrunk(trunk, kind.input.precision),
        monitor,
        recipe.augmentation,
        recipe.seed,
    ) as splits:
        graft = _graft(task, trunk)
        fitted = fit(recipe, graft, splits["train"], splits["validation"], checkpoints, monitor)
        graft.load(fitted.weights)
        evaluations, temperature = evaluated(_outputs(task, splits, graft, monitor), task.manifest.classes)
    monitor.report(Progress("publishing"))
    card = _card(task, reserve(task.model), fitted, evaluations, temperature)
    publish(stores.registry, card, fitted, evaluations, task.manifest.counts(), monitor.guard)
    checkpoints.clear()
    return TrainOutcome(card.version, card.metrics)


def _read(order: TrainingOrder, datasets: Datasets) -> _Task:
    if order.model is None or order.dataset is None or order.revision is None or order.recipe is None:
        raise InvalidInput(
            f"A train job needs a model, a dataset with its revision, and a recipe; {order.id} lacks one."
        )
    manifest, recipe = datasets.manifest(order.dataset, order.revision), RecipeRequest.parse(order.recipe).resolve()
    recipe = recipe.at("float32")
    check_validation(recipe, len(manifest.of("validation")))
    return _Task(order.id, order.model, order.dataset, manifest, recipe)


def _graft(task: _Task, trunk: TrunkWeights) -> TrainableGraft:
    """The tail from the pretrained trunk, the head from the recipe's seed."""
    recipe, spec = task.recipe, task.recipe.head(len(task.manifest.classes))
    pretrained = by_parameter(trunk)
    tail = {name: pretrained[name] for name in tail_shapes(recipe.cut)}
    return TrainableGraft(recipe, spec, {**tail, **initial_head(spec, recipe.seed)})


def _outputs(
    task: _Task, splits: Mapping[str, SplitFeatures], graft: TrainableGraft, monitor: Monitor
) -> dict[str, Outputs]:
    """Of every picture of validation and test, once. The last epoch's checkpoint is there: a stop loses only this."""

    def stop_if_asked() -> None:
        if monitor.stop_requested():
            raise Interrupted("stopped while evaluating; the training is saved.")

    def outputs(name: Split) -> Outputs:
        split = splits[name]
        batches = in_order(len(split), task.recipe.validation_batch_size)
        paths = [picture.path for picture in task.manifest.of(name)]
        return Outputs(logits_on(split, batches, graft, stop_if_asked), split.labels, paths)

    monitor.report(Progress("evaluating"))
    measured: tuple[Split, ...] = ("validation", "test")
    return {name: outputs(name) for name in measured if len(splits[name])}


def _card(task: _Task, version: int, fitted: Fitted, evaluations: Evaluations, temperature: float) -> ModelCard:
    table = parameter_table(fitted.weights)
    trained = sum(parameter.count for parameter in table if parameter.trainable)
    frozen = sum(parameter.count for parameter in table if not parameter.trainable)
    summary = {
        name: {key: result[key] for key in ("loss", "accuracy", "pictures")} for name, result in evaluations.items()
    }
    spec = task.recipe.head(len(task.manifest.classes))
    return ModelCard(
        model=task.model,
        version=version,
        created_at=time.time_ns() // 1_000_000,
        cut=task.recipe.cut,
        tail=tuple(layer.name for layer in between(task.recipe.cut, LAST)),
        head=spec,
        classes=task.manifest.classes,
        input=task.recipe.input_key,
        trunk_digest=TRUNK_DIGEST,
        parameters=table,
        trainable_parameters=trained,
        frozen_parameters=shared_parameters(task.recipe.cut) + frozen,
        layers=layer_table(task.recipe.cut, spec),
        temperature=temperature,
        recipe=task.recipe.model_dump(mode="json"),
        dataset=task.dataset,
        dataset_revision=task.manifest.revision,
        job_id=task.job,
        metrics={**summary, "epochs": len(fitted.history["loss"]), "best_epoch": fitted.best_epoch},
    )
