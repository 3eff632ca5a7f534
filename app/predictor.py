"""What the predict routes need of a predictor. In service that is graft.engine's; its trunk loads for seconds."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from graft.engine.answers import Embeddings, EngineState, File, Prediction
from graft.vgg16.layers import Pooling


class Predicts(Protocol):
    """Answers pictures with a model's labels, or with the trunk's own output.

    What answers is awaited on the event loop and never holds it up. It raises NotAPicture, TooLarge, Unavailable, and
    for a model NotFound, CorruptVersion and MissingWeights. `timeout`: the seconds that the caller waits from then on;
    None, or more than the service's own limit, is that limit. Work of a task that is cancelled is dropped where it has
    not begun.
    """

    def start(self) -> None:
        """Load the trunk. Blocks for seconds, or for as long as a download takes. Raises MissingWeights."""

    def close(self) -> None: ...

    def state(self) -> EngineState: ...

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        """The version that a prediction would come from now. Blocks. Raises NotFound, MissingWeights."""

    def quarantined(self, model: str) -> Mapping[int, str]:
        """The versions that cannot be served, each with the reason. Blocks."""

    def refuse_when_busy(self, timeout: float | None) -> None:
        """Raise Unavailable when one picture through the whole trunk would not be done in `timeout`. Never blocks."""

    async def predict(
        self,
        model: str,
        files: Sequence[File],
        *,
        version: int | None = None,
        alias: str | None = None,
        top: int = 5,
        timeout: float | None = None,
    ) -> Prediction: ...

    async def predict_many(
        self, models: Sequence[str], files: Sequence[File], *, top: int = 5, timeout: float | None = None
    ) -> tuple[Prediction, ...]:
        """The stable versions' answers, in the order of `models`."""

    async def embed(
        self, layer: str, pooling: Pooling, files: Sequence[File], *, timeout: float | None = None
    ) -> Embeddings: ...
