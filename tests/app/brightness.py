"""A predictor that needs no trunk, and a gate that holds its predictions up for as long as a test likes."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

import numpy as np

from graft.engine.answers import Embeddings, EngineState, Entry, File, Guess, Prediction
from graft.errors import MissingWeights, Unavailable
from graft.images import decode
from graft.registry import BUILT_IN, Registry
from graft.vgg16.layers import Pooling, pooled_width


class Gate:
    """Holds predictions up until it is opened, and counts those that came to it and those that were cancelled there.

    Tests use it from a thread other than the event loop's.
    """

    def __init__(self) -> None:
        self.came, self.cancelled = threading.Semaphore(0), threading.Semaphore(0)
        self._opened: Future[None] = Future()

    def open(self) -> None:
        self._opened.set_result(None)

    async def passage(self) -> None:
        self.came.release()
        try:
            await asyncio.shield(asyncio.wrap_future(self._opened))
        except asyncio.CancelledError:
            self.cancelled.release()
            raise


class BrightnessPredictor:
    """A real predictor with a model of its own: the share of each colour channel in a picture is its probability.

    gate: where it holds predictions up. busy: what it refuses everybody with. broken: its quarantine.
    """

    LABELS = (("red", "n1"), ("green", "n2"), ("blue", "n3"))

    def __init__(self, registry: Registry, *, classifier: bool = True) -> None:
        self._registry = registry
        self._classifier = classifier
        self.gate: Gate | None = None
        self.busy: Unavailable | None = None
        self.broken: dict[str, dict[int, str]] = {}
        self.timeouts: list[float | None] = []  # those that came, call by call

    def start(self) -> None: ...

    def close(self) -> None: ...

    def state(self) -> EngineState:
        return EngineState("verified" if self._classifier else "missing", "float32", ("float32",))

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        if model == BUILT_IN and not self._classifier:
            raise MissingWeights("The classifier is missing. Put its file into GRAFT_WEIGHTS_DIR.")
        return 1 if model == BUILT_IN else self._registry.resolve(model, version=version, alias=alias)

    def quarantined(self, model: str) -> Mapping[int, str]:
        return self.broken.get(model, {})

    def refuse_when_busy(self, timeout: float | None) -> None:
        self.timeouts.append(timeout)
        if self.busy:
            raise self.busy

    async def predict(
        self,
        model: str,
        files: Sequence[File],
        *,
        version: int | None = None,
        alias: str | None = None,
        top: int = 5,
        timeout: float | None = None,
    ) -> Prediction:
        await self._wait(timeout)
        number = self.resolve(model, version=version, alias=alias)
        entries = [Entry(name, self._top(decode(data), model, top)) for name, data in files]
        return Prediction(model, number, tuple(entries))

    async def predict_many(
        self, models: Sequence[str], files: Sequence[File], *, top: int = 5, timeout: float | None = None
    ) -> tuple[Prediction, ...]:
        return tuple([await self.predict(model, files, top=top, timeout=timeout) for model in models])

    async def embed(
        self, layer: str, pooling: Pooling, files: Sequence[File], *, timeout: float | None = None
    ) -> Embeddings:
        """The mean red, green and blue of each picture, over and over until the layer is full."""
        await self._wait(timeout)
        rows = [np.resize(decode(data).mean((0, 1)), pooled_width(pooling, layer)) for _, data in files]
        return Embeddings(layer, pooling, tuple(name for name, _ in files), np.stack(rows).astype(np.float32))

    async def _wait(self, timeout: float | None) -> None:
        self.timeouts.append(timeout)
        if self.gate:
            try:
                await asyncio.wait_for(self.gate.passage(), timeout)
            except TimeoutError:
                raise Unavailable("The gate must open in time; it has not.", retry_after=7) from None

    def _top(self, pixels: np.ndarray, model: str, top: int) -> tuple[Guess, ...]:
        shares = pixels.mean(axis=(0, 1)) / pixels.mean(axis=(0, 1)).sum()
        order = shares.argsort()[::-1][:top]
        guesses = ((i, *self.LABELS[i]) for i in order)
        return tuple(
            Guess(label, int(i), float(shares[i]), wnid if model == BUILT_IN else None) for i, label, wnid in guesses
        )
