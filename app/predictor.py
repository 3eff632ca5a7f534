"""What the predict routes need of a predictor. In service that is graft.engine's; its trunk loads for seconds."""

from collections.abc import Sequence
from typing import Protocol

from graft.engine.answers import Embeddings, EngineState, File, Prediction
from graft.vgg16.layers import Pooling


class Predicts(Protocol):
    """Answers pictures with a model's labels, or with the trunk's own output.

    What answers blocks, and is called from many threads at once. It raises NotAPicture, TooLarge, Unavailable, and for
    a model NotFound and MissingWeights.
    """

    def start(self) -> None:
        """Load the trunk. Blocks for seconds, or for as long as a download takes. Raises MissingWeights."""

    def close(self) -> None: ...

    def state(self) -> EngineState: ...

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        """The version that a prediction would come from now. Blocks. Raises NotFound, MissingWeights."""

    def predict(
        self, model: str, files: Sequence[File], *, version: int | None = None, alias: str | None = None, top: int = 5
    ) -> Prediction: ...

    def predict_many(self, models: Sequence[str], files: Sequence[File], *, top: int = 5) -> tuple[Prediction, ...]:
        """The stable versions' answers, in the order of `models`."""

    def embed(self, layer: str, pooling: Pooling, files: Sequence[File]) -> Embeddings: ...
