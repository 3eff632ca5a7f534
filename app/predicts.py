"""What the predict routes need of a predictor. In service that is graft.engine's; its trunk loads for seconds."""

from collections.abc import Sequence
from typing import Protocol

from graft.engine.answers import EngineState, Prediction


class Predicts(Protocol):
    """Answers pictures with a model's labels."""

    def start(self) -> None:
        """Load the trunk. Blocks for seconds, or for as long as a download takes. Raises MissingWeights."""

    def close(self) -> None: ...

    def state(self) -> EngineState: ...

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        """The version that a prediction would come from now. Blocks. Raises NotFound, MissingWeights."""

    def predict(
        self,
        model: str,
        files: Sequence[tuple[str | None, bytes]],
        *,
        version: int | None = None,
        alias: str | None = None,
        top: int = 5,
    ) -> Prediction:
        """Blocks; called from many threads at once. Raises NotFound, NotAPicture, TooLarge, Unavailable."""
