"""What the predict routes need of a predictor. In service that is graft.engine's; its trunk loads for seconds."""

from collections.abc import Sequence
from typing import Any, Protocol


class Guess(Protocol):
    """One label of a picture; `wnid` is None but for ImageNet's labels."""

    @property
    def label(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def probability(self) -> float: ...
    @property
    def wnid(self) -> str | None: ...


class Entry(Protocol):
    """One picture's answer, the likeliest label first."""

    @property
    def filename(self) -> str | None: ...
    @property
    def top(self) -> Sequence[Guess]: ...


class Predicted(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def entries(self) -> Sequence[Entry]: ...


class Predicts(Protocol):
    """Answers pictures with a model's labels."""

    def start(self) -> None:
        """Load the trunk. Blocks for seconds, or for as long as a download takes. Raises MissingWeights."""

    def close(self) -> None: ...

    def state(self) -> dict[str, Any]:
        """trunk, classifier: whether each is loaded or can be; precision."""

    def predict(
        self,
        model: str,
        files: Sequence[tuple[str | None, bytes]],
        *,
        version: int | None = None,
        alias: str | None = None,
        top: int = 5,
    ) -> Predicted:
        """Blocks; called from many threads at once. Raises NotFound, NotAPicture, TooLarge, Unavailable."""
