"""The grafts in memory: which version answers for a model, and what happens to one that cannot."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graft.engine.cache import Cache
from graft.engine.metrics import EngineMetrics
from graft.engine.quarantine import Quarantine
from graft.errors import CorruptVersion, NotFound, Unavailable
from graft.registry import STABLE, ModelCard, Registry
from graft.types import InputKey

if TYPE_CHECKING:
    from graft.vgg16.heads import Graft

logger = logging.getLogger(__name__)

# From its begin; then whoever asks for a model that nothing else answers for is told to come again.
LOADING_SECONDS = 30.0
# For so long nobody loads a version again that could not be through no fault of its own.
RETRY_SECONDS = 10.0
# At most so often it is looked up which versions are no more: that is a look at the disk for every one in memory.
LOOK_SECONDS = 10.0


@dataclass(frozen=True)
class LoadedModel:
    """A version of a model, ready to answer. input.precision: what it is served at. temperature: see ModelCard."""

    graft: "Graft"
    input: InputKey
    classes: tuple[str, ...]
    temperature: float = 1.0


Answering = tuple[int, LoadedModel]  # and the version that it is
Prepare = Callable[[ModelCard, Mapping[str, np.ndarray]], LoadedModel]


class Models:
    """Loads versions from the registry on first use and keeps them within `memory_bytes` of weights.

    prepare: makes a model of what the registry holds and runs it once; raises CorruptVersion when unfit, anything else
    when it did not work this time. patience: seconds for which callers wait for a version that is being loaded, while
    the one that answered before could. clock: in seconds. Safe to call from threads.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        memory_bytes: int,
        prepare: Prepare,
        metrics: EngineMetrics,
        patience: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._prepare = prepare
        self._metrics = metrics
        self._patience = patience
        self._clock = clock
        self._quarantine = Quarantine(registry.signature, metrics)
        self._cache = Cache(self._load, _nbytes, memory_bytes=memory_bytes, metrics=metrics)
        self._answered: dict[tuple[str, str], int] = {}  # model and alias -> the version that did last
        self._failed: dict[tuple[str, int], float] = {}  # model and version -> when it could not be loaded
        self._looked = -math.inf  # when it was last looked up which versions are no more

    def get(self, model: str, *, version: int | None = None, alias: str | None = None) -> Answering:
        """The version that answers, and the model itself; blocks while that is loaded.

        An alias, `stable` where none is named, is answered for by the version that it points at. While that is being
        loaded for longer than the patience, or where it cannot be, it is the one that answered before; where `stable`
        follows the newest version, it is the newest that is fit. An alias that was taken away and set again between two
        calls counts as moved; once a call has missed it, as new. Raises NotFound; CorruptVersion with the reason when
        no version that may answer is fit; Unavailable when one takes too long to load, or could not be just now.
        """
        try:
            if version is not None:
                return self._ready(model, version, LOADING_SECONDS)
            return self._behind(model, STABLE if alias is None else alias)
        except NotFound:
            self._forget_deleted(model)
            raise

    def quarantined(self, model: str) -> dict[int, str]:
        """The versions that were found unfit and have not changed since, each with the reason."""
        self._look_around()
        for name, version in self._quarantine.held():
            if name == model:
                self._quarantine.forget_changed(name, version)
        return self._quarantine.reasons(model)

    def _behind(self, model: str, alias: str) -> Answering:
        """What answers for an alias."""
        try:
            candidates = self._registry.candidates(model, alias)
        except NotFound:
            self._answered.pop((model, alias), None)  # an alias that is set anew has no past
            raise
        last = self._answered.get((model, alias))
        problems: dict[int, Exception] = {}
        for version in candidates:
            try:
                answering = self._ready(model, version, self._seconds(model, version, last))
            except (NotFound, CorruptVersion) as error:
                problems[version] = error
            except Exception as error:  # not the version's fault, so an older one would be no better
                problems[version] = error
                break
            else:
                self._note(model, alias, version)
                return answering
        problem = next((each for each in problems.values() if not isinstance(each, NotFound)), None)
        if problem is None:
            raise next(iter(problems.values()))
        if last is not None and last not in problems:
            with suppress(Exception):  # the first problem says more
                return self._ready(model, last, LOADING_SECONDS)
        raise problem

    def _ready(self, model: str, version: int, seconds: float) -> Answering:
        """A version once it is loaded, if that takes at most so many seconds from when it began."""
        self._registry.resolve(model, version=version)
        self._quarantine.forget_changed(model, version)
        if reason := self._quarantine.reason(model, version):
            raise CorruptVersion(reason)
        if (left := self._failed.get((model, version), -math.inf) + RETRY_SECONDS - self._clock()) > 0:
            raise _not_now(model, version, left)
        cached = self._cache.fetch((model, version))
        if not cached.ended(seconds):
            raise Unavailable(
                f"A model must be loaded before it answers; {model!r} version {version} still is. Ask again soon.",
                retry_after=5,
            )
        return version, cached.future.result()

    def _seconds(self, model: str, version: int, last: int | None) -> float:
        """How long to wait for a version: not for long, where the one that answered last could at once."""
        could = last is not None and last != version and (model, last) in self._cache and self._exists(model, last)
        return self._patience if could else LOADING_SECONDS

    def _note(self, model: str, alias: str, version: int) -> None:
        if self._answered.get((model, alias)) != version:
            self._answered[model, alias] = version
            self._forget_deleted(model)

    def _look_around(self) -> None:
        """Free what is kept of versions of any model that are no more. For where time is taken anyway."""
        if self._clock() >= self._looked + LOOK_SECONDS:
            self._looked = self._clock()
            self._forget_deleted()

    def _forget_deleted(self, model: str | None = None) -> None:
        """Free what is kept of versions that are no more: of one model, or of all."""
        answered = {(name, version) for (name, _), version in list(self._answered.items())}
        kept = answered.union(self._cache.there(), self._quarantine.held(), list(self._failed))
        gone = {key for key in kept if model in (None, key[0]) and not self._exists(*key)}
        for key in gone:
            self._cache.forget(key)
            self._quarantine.forget_changed(*key)
            self._failed.pop(key, None)
        for asked, version in list(self._answered.items()):
            if (asked[0], version) in gone:
                self._answered.pop(asked, None)

    def _exists(self, model: str, version: int) -> bool:
        """Whether a version is there, or the disk does not say."""
        try:
            self._registry.resolve(model, version=version)
        except NotFound:
            return False
        except OSError:
            pass
        return True

    def _load(self, key: tuple[str, int]) -> LoadedModel:
        self._look_around()
        model, version = key
        signature = self._registry.signature(model, version)
        if reason := self._quarantine.reason(model, version):
            raise CorruptVersion(reason)
        started = time.perf_counter()
        try:
            loaded = self._prepare(*self._registry.load(model, version))
        except CorruptVersion as error:
            logger.warning("not served: %s", error)
            self._quarantine.add(model, version, signature, str(error))
            raise
        except NotFound:  # deleted meanwhile
            raise
        except Exception as error:
            logger.warning("%r version %d could not be loaded this time", model, version, exc_info=True)
            self._failed[key] = self._clock()
            raise _not_now(model, version, RETRY_SECONDS) from error
        self._failed.pop(key, None)
        self._metrics.loaded(time.perf_counter() - started)
        return loaded


def _not_now(model: str, version: int, seconds: float) -> Unavailable:
    after = math.ceil(seconds)
    return Unavailable(
        f"A model must be loaded before it answers; {model!r} version {version} could not be just now, and the "
        f"service's log says why. Ask again in {after} s.",
        retry_after=after,
    )


def _nbytes(model: LoadedModel) -> int:
    return model.graft.nbytes
