"""Versions that are made ready without TensorFlow, and the metrics that tell of it."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from prometheus_client import CollectorRegistry

from graft.engine.metrics import EngineMetrics
from graft.engine.models import LoadedModel
from graft.registry import ModelCard
from tests.graft.registry.versions import weights_of

if TYPE_CHECKING:
    from graft.vgg16.heads import Graft

BYTES_A_MODEL = (512 * 3 + 3) * 4
DEADLINE = 30.0  # seconds, after which a test that hangs fails


@dataclass(frozen=True)
class Prepared:
    """In a graft's place: what it would have been made of."""

    card: ModelCard
    weights: Mapping[str, np.ndarray]
    nbytes: int


class Prepare:
    """Notes what was made ready; waits and fails for the versions that are told so."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []
        self.failing: dict[int, Exception] = {}
        self.nbytes: dict[str, int] = {}  # by model, where its weights are not what counts
        self.held: dict[int, threading.Event] = {}
        self.begun: dict[int, threading.Event] = {}

    def hold(self, version: int) -> threading.Event:
        """The version is made ready once the event is set."""
        self.begun[version] = threading.Event()
        self.held[version] = threading.Event()
        return self.held[version]

    def __call__(self, card: ModelCard, weights: Mapping[str, np.ndarray]) -> LoadedModel:
        self.made.append((card.model, card.version))
        if card.version in self.held:
            self.begun[card.version].set()
            assert self.held[card.version].wait(DEADLINE)
        if card.version in self.failing:
            raise self.failing[card.version]
        nbytes = self.nbytes.get(card.model, sum(array.nbytes for array in weights.values()))
        prepared = Prepared(card, weights, nbytes)
        return LoadedModel(cast("Graft", prepared), card.input, card.classes)


def assert_whole(model: str, version: int, loaded: LoadedModel) -> None:
    """The card and the weights are those of the version that is said to answer."""
    prepared = cast("Prepared", loaded.graft)
    assert (prepared.card.model, prepared.card.version) == (model, version)
    expected = weights_of(version)
    assert prepared.weights.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(prepared.weights[name], array)


class Watched(EngineMetrics):
    """Metrics to be asked for."""

    def __init__(self) -> None:
        self._read = CollectorRegistry()
        self.most_bytes = 0
        super().__init__(self._read)

    def models(self, count: int, nbytes: int) -> None:
        self.most_bytes = max(self.most_bytes, nbytes)
        super().models(count, nbytes)

    def value(self, name: str, **labels: str) -> float:
        """Of a series; 0 where there is none."""
        return self._read.get_sample_value(name, labels) or 0.0

    @property
    def batches(self) -> float:
        return self.value("graft_engine_batch_pictures_count")

    @property
    def pictures_in_batches(self) -> float:
        return self.value("graft_engine_batch_pictures_sum")

    @property
    def waiting_pictures(self) -> float:
        return self.value("graft_engine_waiting_pictures")

    @property
    def decoded_pictures(self) -> float:
        return self.value("graft_engine_stage_seconds_count", stage="decode")

    @property
    def in_memory(self) -> tuple[float, float]:
        """Models, and bytes."""
        return self.value("graft_models_loaded"), self.value("graft_models_loaded_bytes")

    @property
    def evicted_models(self) -> float:
        return self.value("graft_model_evictions_total")

    @property
    def loads(self) -> float:
        return self.value("graft_model_load_seconds_count")

    def in_quarantine(self, model: str, version: int) -> bool:
        return self.value("graft_model_quarantined", model=model, version=str(version)) == 1
