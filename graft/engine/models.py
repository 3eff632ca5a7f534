"""The grafts in memory: loaded on first use, once however many ask; the least recently used are let go."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from graft.registry import Registry
from graft.types import InputKey
from graft.vgg16.heads import Graft, imagenet_weights
from graft.vgg16.labels import imagenet_classes
from graft.vgg16.layers import IMAGENET_HEAD, LAST
from graft.vgg16.weights import Classifier


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
        self._loaded: OrderedDict[tuple[str, int], LoadedModel] = OrderedDict()
        self._loading = threading.Lock()

    def get(self, model: str, version: int) -> LoadedModel:
        """Raises NotFound, CorruptVersion."""
        with self._loading:
            if (model, version) not in self._loaded:
                self._loaded[model, version] = self._load(model, version)
            self._loaded.move_to_end((model, version))
            self._let_go()
            return self._loaded[model, version]

    def _load(self, model: str, version: int) -> LoadedModel:
        card = self._registry.card(model, version)
        graft = Graft(card.cut, card.head, self._registry.weights(model, version))
        return LoadedModel(graft, card.input, card.classes)

    def _let_go(self) -> None:
        """Drop the least recently used, but never the newest one, however large."""
        while len(self._loaded) > 1 and sum(m.graft.nbytes for m in self._loaded.values()) > self._memory_bytes:
            self._loaded.popitem(last=False)
