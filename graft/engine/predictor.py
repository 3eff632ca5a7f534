"""Pictures in, labels or embeddings out: what the predict routes call."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from weakref import WeakValueDictionary

from graft.engine.answers import Embeddings, EngineState, Entry, File, Guess, Prediction
from graft.engine.metrics import EngineMetrics
from graft.engine.models import Answering
from graft.engine.runtime import Array, Embedding
from graft.engine.startup import Running, start
from graft.engine.trunks import MakeTrunk
from graft.errors import MissingWeights, NotFound, Unavailable
from graft.registry import BUILT_IN, STABLE, Registry
from graft.types import InputKey, PrecisionSetting
from graft.vgg16.labels import decode_predictions, likeliest, probabilities
from graft.vgg16.layers import Pooling
from graft.vgg16.weights import WeightStore

BUILT_IN_VERSION = 1
# Calls whose models are looked up at the same time, and loaded where they must be; the next ones wait.
LOOKING_UP = 16
SAME = 4  # of them for the same models

Wanted = tuple[str, int | None, str | None]  # a model; its version or its alias, where one is named


class Predictor:
    """Serves every model of the registry, and `vgg16`, from one trunk.

    What answers is awaited, by any number of callers of an event loop; cancelling it drops the work that has not
    begun. Everything else may be called from any thread.

    memory_bytes: for the weights of loaded grafts. max_pixels, timeout: of one picture, and of one call in seconds.
    precision: of `vgg16`; `auto` is bfloat16 where the hardware does that by itself. trunk: makes the trunks, where
    they are not to be TensorFlow's with the weights of the store.
    """

    def __init__(
        self,
        registry: Registry,
        weights: WeightStore,
        *,
        memory_bytes: int,
        max_pixels: int,
        timeout: float,
        precision: PrecisionSetting = "auto",
        metrics: EngineMetrics | None = None,
        trunk: MakeTrunk | None = None,
    ) -> None:
        self._registry = registry
        self._start = partial(
            start,
            registry,
            weights,
            memory_bytes=memory_bytes,
            max_pixels=max_pixels,
            timeout=timeout,
            precision=precision,
            metrics=metrics or EngineMetrics(),
            make_trunk=trunk,
        )
        self._starting = threading.Lock()
        self._started: Running | None = None
        # Never shut down: whoever was accepted still needs them when the pipeline has stopped.
        self._threads = ThreadPoolExecutor(LOOKING_UP, thread_name_prefix="models")
        self._turns: WeakValueDictionary[tuple[Wanted, ...], asyncio.Semaphore] = WeakValueDictionary()
        self._writers = ThreadPoolExecutor(1, thread_name_prefix="answers")

    def start(self) -> None:
        """Load the trunk, and the classifier where it is on disk, and warm both up: seconds. Raises MissingWeights."""
        with self._starting:
            if self._started is None:
                self._started = self._start()

    def close(self) -> None:
        """Answer what was accepted, then stop."""
        with self._starting:
            if self._started is not None:
                self._started.pipeline.close()

    def state(self) -> EngineState:
        """Raises Unavailable before the start."""
        return self._running().state

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        """The version that a prediction would come from now. Blocks. Raises NotFound, MissingWeights."""
        if model == BUILT_IN:
            return self._built_in(version, alias)[0]
        return self._registry.resolve(model, version=version, alias=alias)

    def quarantined(self, model: str) -> Mapping[int, str]:
        """The versions that were found unfit to answer, with the reason. Blocks."""
        return self._running().models.quarantined(model)

    def refuse_when_busy(self, timeout: float | None) -> None:
        """Raises Unavailable when one picture through the whole trunk would not be done in time. Never blocks."""
        self._running().pipeline.refuse_when_busy(timeout)

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
        """Answer pictures, each a file's name and bytes, from one version of a model.

        timeout: seconds, where the caller waits less than the predictor's own timeout. Raises NotFound, NotAPicture and
        TooLarge naming the file, MissingWeights, CorruptVersion, and Unavailable where the answer would be late.
        """
        return (await self._predict([(model, version, alias)], files, top, timeout))[0]

    async def predict_many(
        self, models: Sequence[str], files: Sequence[File], *, top: int = 5, timeout: float | None = None
    ) -> tuple[Prediction, ...]:
        """The stable versions' answers to the same pictures, in the order of `models`. Raises what `predict` does.

        Each picture takes one pass of the trunk for every distinct input key of the models.
        """
        return await self._predict([(model, None, None) for model in models], files, top, timeout)

    async def embed(
        self, layer: str, pooling: Pooling, files: Sequence[File], *, timeout: float | None = None
    ) -> Embeddings:
        """The output of a trunk's layer for pictures that are prepared as `vgg16` has them. Raises what `predict` does,
        but NotFound and CorruptVersion.
        """
        running = self._running()
        precision = running.state.precision
        branch = InputKey(precision=precision), Embedding(layer, pooling)
        async with running.pipeline.within(timeout) as deadline:
            if not running.trunks.is_warm(precision, layer):  # it compiles beside the devices' own threads
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._threads, running.trunks.warm, precision, layer)
            (vectors,) = await running.pipeline.ask([branch], files, deadline)
        return Embeddings(layer, pooling, tuple(name for name, _ in files), vectors)

    def _running(self) -> Running:
        if self._started is None:
            raise Unavailable("VGG16 must be loaded before it answers; it is loading. Ask again soon.", retry_after=5)
        return self._started

    def _built_in(self, version: int | None, alias: str | None) -> Answering:
        if version not in (None, BUILT_IN_VERSION) or alias not in (None, STABLE):
            raise NotFound(
                f"{BUILT_IN} is built in, with version {BUILT_IN_VERSION} and the alias {STABLE} alone; "
                f"received {version or alias}. Ask for {BUILT_IN} without either."
            )
        imagenet = self._running().imagenet
        if isinstance(imagenet, MissingWeights):
            raise MissingWeights(str(imagenet))  # one of its own for each thread that raises it
        return BUILT_IN_VERSION, imagenet

    async def _predict(
        self, wanted: Sequence[Wanted], files: Sequence[File], top: int, timeout: float | None
    ) -> tuple[Prediction, ...]:
        pipeline, loop = self._running().pipeline, asyncio.get_running_loop()
        async with pipeline.within(timeout) as deadline:
            found = await self._found(tuple(wanted))
            branches = [(model.input, model.graft) for _, model in found]
            logits = await pipeline.ask(branches, files, deadline)
            return await loop.run_in_executor(self._writers, partial(_predictions, wanted, found, files, logits, top))

    async def _found(self, wanted: tuple[Wanted, ...]) -> list[Answering]:
        """What `_find` does, in a thread. Of these, models that load slowly keep few, however many ask for them."""
        loop, turns = asyncio.get_running_loop(), self._turns.setdefault(wanted, asyncio.Semaphore(SAME))
        await turns.acquire()

        def pass_on(_: object) -> None:  # only then, as a caller who leaves does not end the thread
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(turns.release)

        finding = self._threads.submit(self._find, wanted)
        finding.add_done_callback(pass_on)
        return await asyncio.wrap_future(finding)

    def _find(self, wanted: Sequence[Wanted]) -> list[Answering]:
        """The version that answers for each, and the model itself."""
        found = []
        for name, version, alias in wanted:
            if name == BUILT_IN:
                found.append(self._built_in(version, alias))
            else:
                found.append(self._running().models.get(name, version=version, alias=alias))
        return found


def _predictions(
    wanted: Sequence[Wanted],
    found: Sequence[Answering],
    files: Sequence[File],
    logits: Sequence[Array],
    top: int,
) -> tuple[Prediction, ...]:
    predictions = []
    for (name, _, _), (version, model), each in zip(wanted, found, logits, strict=True):
        rows = _top(probabilities(each, model.temperature), name, model.classes, top)
        entries = (Entry(filename, row) for (filename, _), row in zip(files, rows, strict=True))
        predictions.append(Prediction(name, version, tuple(entries)))
    return tuple(predictions)


def _top(answers: Array, model: str, classes: Sequence[str], top: int) -> list[tuple[Guess, ...]]:
    """The likeliest labels of each row of probabilities (n, classes), likeliest first."""
    if model == BUILT_IN:
        return [tuple(Guess(**asdict(label)) for label in row) for row in decode_predictions(answers, top)]
    return [tuple(Guess(classes[i], i, float(row[i])) for i in likeliest(row, top)) for row in answers]
