"""What an engine is made of when it starts: trunks, the stock classifier, and the batch size that fits the hardware."""

import logging
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from graft.engine.admission import Admission
from graft.engine.answers import EngineState
from graft.engine.batch_size import BATCH_SIZES, best_batch_size
from graft.engine.heap import trim
from graft.engine.metrics import EngineMetrics
from graft.engine.models import LoadedModel, Models
from graft.engine.pipeline import Pipeline, lanes
from graft.engine.preparing import Preparer
from graft.engine.runtime import Asked, Branch, Embedding, run, work_of
from graft.engine.trunks import MakeTrunk, Trunks
from graft.errors import MissingWeights
from graft.registry import Registry
from graft.types import Precision, PrecisionSetting
from graft.vgg16.devices import devices, native_precisions
from graft.vgg16.layers import INPUT, LAST, feature_shape
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weights import WeightStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Running:
    """An engine that answers. imagenet: the stock classifier, or the reason why it cannot answer."""

    state: EngineState
    models: Models
    trunks: Trunks
    imagenet: LoadedModel | MissingWeights
    pipeline: Pipeline


def start(
    registry: Registry,
    weights: WeightStore,
    *,
    memory_bytes: int,
    max_pixels: int,
    timeout: float,
    precision: PrecisionSetting,
    metrics: EngineMetrics,
    make_trunk: MakeTrunk | None,
) -> Running:
    """Load the trunk, and the classifier where it is on disk, and warm both up: seconds. Raises MissingWeights."""
    state = EngineState("missing", "float32", native_precisions())
    state = replace(state, precision=state.served("bfloat16" if precision == "auto" else precision))
    trunks = Trunks(make_trunk or partial(TensorFlowTrunk, weights.trunk()), devices())
    trunks.warm(state.precision, LAST)
    preparer = Preparer(trunks, state.served)
    imagenet, state = _imagenet(weights, preparer, state)
    admission = Admission(len(trunks.devices), lanes(trunks.devices[0]))
    branch = Embedding(LAST, "avg") if isinstance(imagenet, MissingWeights) else imagenet.graft
    batch_size = _batch_size(trunks, state.precision, branch, admission)
    models = Models(registry, memory_bytes=memory_bytes, prepare=preparer.model, metrics=metrics)
    pipeline = Pipeline(
        trunks, batch_size, admission=admission, max_pixels=max_pixels, timeout=timeout, metrics=metrics
    )
    trim()
    return Running(state, models, trunks, imagenet, pipeline)


def _imagenet(
    weights: WeightStore, preparer: Preparer, state: EngineState
) -> tuple[LoadedModel | MissingWeights, EngineState]:
    """The stock classifier, warm, where it is on disk. Other models answer without it."""
    try:
        classifier = weights.classifier()
    except MissingWeights as broken:
        logger.warning("%s", broken)
        return broken, state
    if classifier is None:
        return weights.missing_classifier(), state
    found = preparer.imagenet(classifier, state.precision)
    return found, replace(state, classifier="verified" if classifier.verified else "unverified")


def _batch_size(trunks: Trunks, precision: Precision, branch: Branch, admission: Admission) -> int:
    """Measured with what most pictures will be asked of; the admission learns from it how fast the device is."""
    device = trunks.devices[0]
    blank = Asked(np.zeros(feature_shape(INPUT), np.uint8), "caffe", precision, (branch,))
    size, seconds = best_batch_size(lambda n: run(trunks.get(precision, device), [blank] * n), BATCH_SIZES)
    admission.learn(work_of([branch]), seconds)
    logger.info("%s at %s: batches of %d, %.1f ms a picture", device, precision, size, seconds * 1000)
    return size
