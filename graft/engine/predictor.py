"""Pictures in, labels out: what a predict route calls."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import asdict
from functools import partial

import numpy as np
import numpy.typing as npt

from graft import images
from graft.engine.answers import ClassifierState, EngineState, Entry, Guess, Prediction
from graft.engine.batcher import Batcher
from graft.engine.models import LoadedModel, LoadedModels, imagenet_model
from graft.engine.runtime import Asked, run
from graft.errors import InvalidInput, MissingWeights, NotFound, Unavailable
from graft.registry import BUILT_IN, STABLE, Registry
from graft.vgg16.heads import probabilities
from graft.vgg16.inputs import network_input
from graft.vgg16.labels import decode_predictions
from graft.vgg16.layers import INPUT, LAST, feature_shape
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
        self._batcher: Batcher[Asked, npt.NDArray[np.float32]] | None = None
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
        return EngineState(self._classifier, TensorFlowTrunk.precision)

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
        self,
        model: str,
        files: Sequence[tuple[str | None, bytes]],
        *,
        version: int | None = None,
        alias: str | None = None,
        top: int = 5,
    ) -> Prediction:
        """Answer pictures, each a file's name and bytes, from one version of a model.

        Blocks, and may be called from many threads. Raises NotFound, NotAPicture and TooLarge naming the file,
        MissingWeights, CorruptVersion, and Unavailable when the answer did not come within the timeout.
        """
        number = self.resolve(model, version=version, alias=alias)
        loaded = self._built_in() if model == BUILT_IN else self._models.get(model, number)
        pixels = np.stack([self._decode(name, data, loaded) for name, data in files])
        logits = self._run(network_input(pixels, loaded.input.preprocessing), loaded)
        guesses = _top(probabilities(logits), model, loaded.classes, top)
        names = [name for name, _ in files]
        return Prediction(model, number, tuple(Entry(*entry) for entry in zip(names, guesses, strict=True)))

    def _built_in(self) -> LoadedModel:
        if isinstance(self._imagenet, MissingWeights):
            raise MissingWeights(str(self._imagenet))  # one of its own for each thread that raises it
        return self._imagenet

    def _decode(self, name: str | None, data: bytes, loaded: LoadedModel) -> npt.NDArray[np.uint8]:
        try:
            return images.decode(data, interpolation=loaded.input.interpolation, max_pixels=self._max_pixels)
        except InvalidInput as error:
            raise type(error)(f"{name}: {error}" if name else str(error)) from None

    def _run(self, numbers: npt.NDArray[np.float32], loaded: LoadedModel) -> npt.NDArray[np.float32]:
        if self._batcher is None:
            raise Unavailable("VGG16 must be loaded before it answers; it is loading. Ask again soon.", retry_after=5)
        answers = [self._batcher.submit(Asked(picture, loaded.graft)) for picture in numbers]
        done, late = wait(answers, timeout=self._timeout, return_when=FIRST_EXCEPTION)
        for answer in late:
            answer.cancel()
        if late and not any(answer.exception() for answer in done):
            raise Unavailable(
                f"A prediction must be ready within {self._timeout:g} s; {len(late)} of {len(answers)} pictures were "
                "not: the service is busy. Ask again later, or with fewer pictures."
            )
        return np.stack([answer.result() for answer in answers])

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
            self._imagenet.graft.logits(np.zeros((1, *feature_shape(LAST)), np.float32))
            self._classifier = "verified" if classifier.verified else "unverified"


def _top(answers: npt.NDArray[np.float32], model: str, classes: Sequence[str], top: int) -> list[tuple[Guess, ...]]:
    """The likeliest labels of each row of probabilities (n, classes), likeliest first."""
    if model == BUILT_IN:
        return [tuple(Guess(**asdict(label)) for label in row) for row in decode_predictions(answers, top)]
    orders = answers.argsort(axis=1)[:, ::-1][:, :top]
    return [
        tuple(Guess(classes[i], int(i), float(row[i]), None) for i in order)
        for row, order in zip(answers, orders, strict=True)
    ]
