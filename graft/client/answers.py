"""What the service answers, typed. Fields that this client does not know yet are kept: `model_dump()` has them all."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")
FINISHED = ("succeeded", "failed", "cancelled")


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Page(Answer, Generic[T]):
    """A part of a list."""

    data: list[T]
    has_more: bool = False


class Check(Answer):
    """One finding about a dataset: how often, where (at most five paths), and what to do."""

    code: str
    severity: str
    count: int = 0
    examples: list[str] = []
    message: str
    advice: str | None = None


class Problem(Answer):
    """One finding about one file; `path` is None where it is about the whole set."""

    path: str | None = None
    code: str
    message: str
    left_out: bool = True


class Dataset(Answer):
    """`state`: open, validating, ready or rejected. `counts`: pictures by split and class."""

    id: str
    name: str
    state: str
    revision: str | None = None
    classes: list[str] | None = None
    counts: dict[str, dict[str, int]] | None = None
    files: int | None = None
    checks: list[Check] | None = None
    problems: list[Problem] = []
    created_at: datetime


class Progress(Answer):
    """Where a running job is. Epochs and steps count from 1; `rate`: pictures a second; None is what a phase lacks."""

    phase: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    rate: float | None = None
    eta_seconds: float | None = None


class JobError(Answer):
    code: str
    message: str


class Job(Answer):
    """`state`: queued, running, cancelling, and in the end succeeded, failed or cancelled."""

    id: str
    kind: str
    state: str
    model: str | None = None
    version: int | None = None
    dataset: str | None = None
    revision: str | None = None
    recipe: dict[str, Any] | None = None
    priority: int = 0
    progress: Progress = Progress()
    metrics: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    failures: int = 0
    error: JobError | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    metadata: dict[str, Any] = {}

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


class Event(Answer):
    """One entry of a job's log. Ids rise within a job."""

    id: int
    type: str
    data: dict[str, Any] = {}
    at: datetime


class Label(Answer):
    """`wnid`: WordNet's id, of ImageNet's classes alone."""

    label: str
    index: int
    probability: float
    wnid: str | None = None


class PicturePrediction(Answer):
    """`top`: the likeliest labels, likeliest first."""

    filename: str | None = None
    top: list[Label]


class Prediction(Answer):
    """One entry for each picture, in the order in which they were asked."""

    model: str
    version: int
    predictions: list[PicturePrediction]


class Predictions(Answer):
    """The same pictures asked of many models: one prediction for each, in the order asked."""

    results: list[Prediction]


class Embedding(Answer):
    filename: str | None = None
    embedding: list[float]


class Embeddings(Answer):
    """Features of a layer. `shape`: (pictures, numbers for each)."""

    layer: str
    pooling: str | None = None
    shape: list[int]
    embeddings: list[Embedding]


class Version(Answer):
    """`problem`: why a version that is corrupt, or in quarantine, does not answer."""

    version: int
    created_at: datetime | None = None
    status: str = "available"
    problem: str | None = None
    metrics: dict[str, Any] | None = None


class Model(Answer):
    """`aliases`: which version each points at; `stable` answers where none is named."""

    name: str
    versions: list[Version] = []
    aliases: dict[str, int] = {}
