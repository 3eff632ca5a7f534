"""Pictures in, labels or embeddings out: what the predict routes call."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import asdict
from functools import partial

import numpy as np
import numpy.typing as npt

from graft import images
from graft.engine.answers import ClassifierState, Embeddings, EngineState, Entry, File, Guess, Prediction
from graft.engine.batcher import Batcher
from graft.engine.models import LoadedModel, LoadedModels, imagenet_model
from graft.engine.runtime import Array, Asked, Branch, Embedding, run
from graft.errors import InvalidInput, MissingWeights, NotFound, Unavailable
from graft.registry import BUILT_IN, STABLE, Registry
from graft.types import InputKey, Interpolation
from graft.vgg16.heads import probabilities
from graft.vgg16.inputs import network_input
from graft.vgg16.labels import decode_predictions, likeliest
from graft.vgg16.layers import INPUT, LAST, Pooling, feature_shape
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weights import WeightStore

logger = logging.getLogger(__name__)

# On a CPU a larger batch is no faster (measured within 3 % from 1 to 32), and holds up whoever comes next.
BATCH_SIZE = 4
BUILT_IN_VERSION = 1


class Predictor:
    """Serves every model of the registry, and `vgg16`, from one trunk. Safe to call from many threads.

    memory_bytes: for the weights of loaded grafts. max_pixels, timeout: of one picture, and of one call in seconds.
    """

    def __init__(
        self, registry: Registry, weights: WeightStore, *, memory_bytes: int, max_pixels: int, timeout: float
    ) -> None:
        self._registry = registry
        self._weights = weights
        self._models = LoadedModels(registry, memory_bytes)
        self._max_pixels = max_pixels
        self._timeout = timeout
        self._batcher: Batcher[Asked, tuple[Array, ...]] | None = None
        self._starting = threading.Lock()
        self._imagenet: LoadedModel | MissingWeights = weights.missing_classifier()
        self._classifier: ClassifierState = "missing"

    def start(self) -> None:
        """Load the trunk, and the classifier where it is on disk, and warm both up: seconds. Raises MissingWeights."""
        with self._starting:
            if self._batcher is None:
                trunk = TensorFlowTrunk(self._weights.trunk())
                trunk.run(np.zeros((1, *feature_shape(INPUT)), np.float32), INPUT, [LAST])
                self._load_classifier()
                self._batcher = Batcher(partial(run, trunk), BATCH_SIZE)

    def close(self) -> None:
        """Answer what was accepted, then stop."""
        with self._starting:
            if self._batcher is not None:
                self._batcher.close()

    def state(self) -> EngineState:
        return EngineState(self._classifier, "float32", ("float32",))

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        """The version that a prediction would come from now. Blocks. Raises NotFound, MissingWeights."""
        if model != BUILT_IN:
            return self._registry.resolve(model, version=version, alias=alias)
        if version not in (None, BUILT_IN_VERSION) or alias not in (None, STABLE):
            raise NotFound(
                f"{BUILT_IN} is built in, with version {BUILT_IN_VERSION} and the alias {STABLE} alone; "
                f"received {version or alias}. Ask for {BUILT_IN} without either."
            )
        self._built_in()
        return BUILT_IN_VERSION

    def predict(
        self, model: str, files: Sequence[File], *, version: int | None = None, alias: str | None = None, top: int = 5
    ) -> Prediction:
        """Answer pictures, each a file's name and bytes, from one version of a model.

        Blocks, and may be called from many threads. Raises NotFound, NotAPicture and TooLarge naming the file,
        MissingWeights, CorruptVersion, and Unavailable when the answer did not come within the timeout.
        """
        return self._predict([(model, self.resolve(model, version=version, alias=alias))], files, top)[0]

    def predict_many(self, models: Sequence[str], files: Sequence[File], *, top: int = 5) -> tuple[Prediction, ...]:
        """The stable versions' answers to the same pictures, in the order of `models`. Raises what `predict` does.

        Each picture takes one pass of the trunk for every distinct input key of the models.
        """
        return self._predict([(model, self.resolve(model)) for model in models], files, top)

    def embed(self, layer: str, pooling: Pooling, files: Sequence[File]) -> Embeddings:
        """The output of a trunk's layer for pictures that are prepared as `vgg16` has them. Raises what `predict` does,
        but NotFound and CorruptVersion.
        """
        (vectors,) = self._ask([(InputKey(), Embedding(layer, pooling))], files)
        return Embeddings(layer, pooling, tuple(name for name, _ in files), vectors)

    def _built_in(self) -> LoadedModel:
        if isinstance(self._imagenet, MissingWeights):
            raise MissingWeights(str(self._imagenet))  # one of its own for each thread that raises it
        return self._imagenet

    def _predict(self, versions: Sequence[tuple[str, int]], files: Sequence[File], top: int) -> tuple[Prediction, ...]:
        models = [self._built_in() if name == BUILT_IN else self._models.get(name, number) for name, number in versions]
        answers = self._ask([(model.input, model.graft) for model in models], files)
        predictions = []
        for (name, number), model, logits in zip(versions, models, answers, strict=True):
            guesses = _top(probabilities(logits), name, model.classes, top)
            entries = (Entry(filename, row) for (filename, _), row in zip(files, guesses, strict=True))
            predictions.append(Prediction(name, number, tuple(entries)))
        return tuple(predictions)

    def _ask(self, branches: Sequence[tuple[InputKey, Branch]], files: Sequence[File]) -> list[Array]:
        """What each branch answers, (pictures, any number), with the input that it takes.

        A picture is decoded once for each interpolation, and enters the trunk once for each input key.
        """
        by_key: dict[InputKey, list[Branch]] = {}
        for key, branch in dict.fromkeys(branches):
            by_key.setdefault(key, []).append(branch)
        pixels = {each: self._decode(files, each) for each in {key.interpolation for key in by_key}}
        asked = [
            Asked(numbers, tuple(wanted))
            for key, wanted in by_key.items()
            for numbers in network_input(pixels[key.interpolation], key.preprocessing)
        ]
        rows: dict[Branch, list[Array]] = {branch: [] for _, branch in branches}
        for each, answers in zip(asked, self._run(asked), strict=True):
            for branch, answer in zip(each.branches, answers, strict=True):
                rows[branch].append(answer)
        return [np.stack(rows[branch]) for _, branch in branches]

    def _decode(self, files: Sequence[File], interpolation: Interpolation) -> npt.NDArray[np.uint8]:
        """(pictures, 224, 224, 3)."""
        pixels = []
        for i, (name, data) in enumerate(files, start=1):
            try:
                pixels.append(images.decode(data, interpolation=interpolation, max_pixels=self._max_pixels))
            except InvalidInput as error:
                which = name or (f"Picture {i} of {len(files)}" if len(files) > 1 else "")
                raise type(error)(f"{which}: {error}" if which else str(error)) from None
        return np.stack(pixels)

    def _run(self, asked: Sequence[Asked]) -> list[tuple[Array, ...]]:
        """Each one's answers, from the batches that they share with other callers' pictures."""
        if self._batcher is None:
            raise Unavailable("VGG16 must be loaded before it answers; it is loading. Ask again soon.", retry_after=5)
        answers = [self._batcher.submit(each) for each in asked]
        done, late = wait(answers, timeout=self._timeout, return_when=FIRST_EXCEPTION)
        for answer in late:
            answer.cancel()
        if late and not any(answer.exception() for answer in done):
            raise Unavailable(
                f"A prediction must be ready within {self._timeout:g} s; {len(late)} of {len(answers)} pictures were "
                "not: the service is busy. Ask again later, or with fewer pictures."
            )
        return [answer.result() for answer in answers]

    def _load_classifier(self) -> None:
        """Have the stock classifier ready, and warm. Other models answer without it."""
        try:
            classifier = self._weights.classifier()
        except MissingWeights as broken:
            logger.warning("%s", broken)
            self._imagenet = broken
            return
        if classifier is not None:
            self._imagenet = imagenet_model(classifier)
            self._imagenet.graft.answer(np.zeros((1, *feature_shape(LAST)), np.float32), "CPU:0")
            self._classifier = "verified" if classifier.verified else "unverified"


def _top(answers: npt.NDArray[np.float32], model: str, classes: Sequence[str], top: int) -> list[tuple[Guess, ...]]:
    """The likeliest labels of each row of probabilities (n, classes), likeliest first."""
    if model == BUILT_IN:
        return [tuple(Guess(**asdict(label)) for label in row) for row in decode_predictions(answers, top)]
    return [tuple(Guess(classes[i], i, float(row[i])) for i in likeliest(row, top)) for row in answers]
