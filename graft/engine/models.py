"""The grafts in memory: loaded on first use, once however many ask; the least recently used are let go."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from graft.engine.metrics import EngineMetrics
from graft.registry import ModelCard, Registry
from graft.types import InputKey
from graft.vgg16.heads import Graft


@dataclass(frozen=True)
class LoadedModel:
    """A version of a model, ready to answer."""

    graft: Graft
    input: InputKey
    classes: tuple[str, ...]


Prepare = Callable[[ModelCard, Mapping[str, np.ndarray]], LoadedModel]


class Models:
    """Loads versions from the registry and keeps them within `memory_bytes` of weights. Safe to call from threads."""

    def __init__(self, registry: Registry, *, memory_bytes: int, prepare: Prepare, metrics: EngineMetrics) -> None:
        self._registry = registry
        self._prepare = prepare
        self._metrics = metrics
        self._memory_bytes = memory_bytes
        self._models: OrderedDict[tuple[str, int], Future[LoadedModel]] = OrderedDict()
        self._lock = threading.Lock()  # held to look and to note, never while a version is loaded

    def quarantined(self, model: str) -> dict[int, str]:  # noqa: ARG002
        return {}

    def get(self, model: str, *, version: int | None = None, alias: str | None = None) -> tuple[int, LoadedModel]:
        """Raises NotFound, CorruptVersion."""
        key = (model, self._registry.resolve(model, version=version, alias=alias))
        with self._lock:
            first = key not in self._models
            future = self._models.setdefault(key, Future())
            self._models.move_to_end(key)
        if first:
            self._fill(key, future)
        return key[1], future.result()

    def _fill(self, key: tuple[str, int], future: Future[LoadedModel]) -> None:
        try:
            loaded = self._load(*key)
        except BaseException as error:
            with self._lock:
                self._models.pop(key, None)
            future.set_exception(error)
            return
        future.set_result(loaded)
        with self._lock:
            self._let_go()

    def _load(self, model: str, version: int) -> LoadedModel:
        return self._prepare(self._registry.card(model, version), self._registry.weights(model, version))

    def _let_go(self) -> None:
        """Drop the least recently used of those that are loaded, but never the newest one, however large."""
        loaded = {key: future.result().graft.nbytes for key, future in self._models.items() if future.done()}
        total = sum(loaded.values())
        for key in list(loaded)[:-1]:
            if total <= self._memory_bytes:
                return
            total -= loaded[key]
            del self._models[key]
