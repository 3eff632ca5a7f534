"""The grafts in memory: loaded on first use, once however many ask; the least recently used are let go."""

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass

from graft.errors import CorruptVersion
from graft.registry import Registry
from graft.types import PIXELS_VERSION, InputKey
from graft.vgg16.heads import Graft, imagenet_weights
from graft.vgg16.labels import imagenet_classes
from graft.vgg16.layers import IMAGENET_HEAD, LAST
from graft.vgg16.weights import TRUNK_DIGEST, Classifier


@dataclass(frozen=True)
class LoadedModel:
    """A version of a model, ready to answer."""

    graft: Graft
    input: InputKey
    classes: tuple[str, ...]


def imagenet_model(classifier: Classifier) -> LoadedModel:
    """The stock classifier as one more graft: cut after the whole trunk, no tail, a big head."""
    graft = Graft(LAST, IMAGENET_HEAD, imagenet_weights(classifier.layers))
    return LoadedModel(graft, InputKey(), tuple(label for _, label in imagenet_classes()))


class LoadedModels:
    """Loads versions from the registry and keeps them within `memory_bytes` of weights. Safe to call from threads."""

    def __init__(self, registry: Registry, memory_bytes: int) -> None:
        self._registry = registry
        self._memory_bytes = memory_bytes
        self._models: OrderedDict[tuple[str, int], Future[LoadedModel]] = OrderedDict()
        self._lock = threading.Lock()  # held to look and to note, never while a version is loaded

    def get(self, model: str, version: int) -> LoadedModel:
        """Raises NotFound, CorruptVersion."""
        key = (model, version)
        with self._lock:
            first = key not in self._models
            future = self._models.setdefault(key, Future())
            self._models.move_to_end(key)
        if first:
            self._fill(key, future)
        return future.result()

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
        card = self._registry.card(model, version)
        if card.trunk_digest != TRUNK_DIGEST or card.input.pixels != PIXELS_VERSION:
            raise CorruptVersion(
                "A version must be served on the trunk and by the pixel code that it was trained with; "
                f"{model!r} version {version} has trunk {card.trunk_digest[:12]} and pixels {card.input.pixels}, this "
                f"release {TRUNK_DIGEST[:12]} and {PIXELS_VERSION}. Train it again."
            )
        graft = Graft(card.cut, card.head, self._registry.weights(model, version))
        return LoadedModel(graft, card.input, card.classes)

    def _let_go(self) -> None:
        """Drop the least recently used of those that are loaded, but never the newest one, however large."""
        loaded = {key: future.result().graft.nbytes for key, future in self._models.items() if future.done()}
        total = sum(loaded.values())
        for key in list(loaded)[:-1]:
            if total <= self._memory_bytes:
                return
            total -= loaded[key]
            del self._models[key]
