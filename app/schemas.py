"""What goes over the wire. Inside, the same things are the library's dataclasses; `of` turns one into the other."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)

from app import examples
from graft.datasets import Dataset, NewDataset, SplitRequest
from graft.datasets.layouts.listing import Boxes
from graft.engine.answers import ClassifierState
from graft.errors import InvalidInput
from graft.jobs import Event, Job
from graft.registry import check_name
from graft.training.presets import PRESETS, RecipeRequest, request_schema

A = TypeVar("A")
T = TypeVar("T")


def _instant(value: object) -> object:
    """Inside, times are epoch milliseconds; outside, ISO 8601 in UTC."""
    return datetime.fromtimestamp(value / 1000, UTC) if isinstance(value, int) else value


def _as_field(check: Callable[[A], T]) -> Callable[[A], T]:
    """Let a library function that raises InvalidInput check a field: of errors, pydantic collects only ValueErrors."""

    def checked(value: A) -> T:
        try:
            return check(value)
        except InvalidInput as error:
            raise ValueError(str(error)) from None

    return checked


def _recipe(value: object) -> RecipeRequest:
    if value is None or isinstance(value, str | dict):
        return RecipeRequest.parse(value)
    raise ValueError(f"recipe must be a preset's name or an object; received {value!r:.100}.")


# Names and ids as callers write them: a wrong one is looked for and not found. PostgreSQL's text has no NUL, though.
TEXT = r"^[^\x00]{1,200}$"
Text = Annotated[str, StringConstraints(pattern=TEXT)]
Priority = Annotated[int, Field(ge=-100, le=100, description="The higher goes first.")]
Instant = Annotated[datetime, BeforeValidator(_instant)]
_RECIPE_SCHEMA = {
    "anyOf": [{"type": "string", "enum": list(PRESETS)}, request_schema(), {"type": "null"}],
    "description": "A preset's name, or an object: a preset (auto, unless given) and the fields that differ from it.",
}
# Parsed while the fields are checked, so that a wrong recipe is named together with whatever else is wrong.
AskedRecipe = Annotated[
    RecipeRequest,
    BeforeValidator(_as_field(_recipe), json_schema_input_type=str | dict[str, Any] | None),
    WithJsonSchema(_RECIPE_SCHEMA, mode="validation"),
]


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class Problem(BaseModel):
    """RFC 9457, and `error`: the detail once more, where TF Serving and Open Inference clients look for it."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [examples.PROBLEM]})

    type: str
    title: str
    status: int
    detail: str
    error: str


class Page(BaseModel, Generic[T]):
    """A part of a list. Where `has_more` is true, the next part comes with `after` set to the last entry's id."""

    data: list[T]
    has_more: bool = False


class Live(BaseModel):
    model_config = _example({"status": "live"})

    status: str = "live"


class Ready(BaseModel):
    """The trunk is loaded. `classifier`: whether ImageNet's part is there, so that `vgg16` answers, and is official.

    `precision`: at which `vgg16` is served.
    """

    model_config = _example(examples.READY)

    status: str = "ready"
    classifier: ClassifierState
    precision: str


class Version(BaseModel):
    """`status`: available; corrupt, where its card or manifest cannot be read; quarantined, where it was asked for and
    could not be loaded, or could not answer a blank picture. `problem` is the reason of these two.

    Of `vgg16`: available, loading, or missing weights.
    """

    model_config = _example(examples.VERSION)

    version: int
    created_at: Instant | None
    status: str
    problem: str | None
    metrics: dict[str, Any] | None


class Model(BaseModel):
    model_config = _example(examples.MODEL)

    name: str
    versions: list[Version]
    aliases: dict[str, int]


class AliasRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 3}]})

    version: Annotated[int, Field(ge=1)]


class DatasetRequest(BaseModel):
    """What comes along with the files. The fractions are used only for splits that the folder lacks."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "signs", "test_split": 0.1}]})

    name: Annotated[
        str | None,
        Field(pattern=TEXT, examples=["signs"], description="Need not be unique. By default the archive's name."),
    ] = None
    validation_split: Annotated[float, Field(ge=0, lt=1, examples=[0.2])] = 0.2
    test_split: Annotated[float, Field(ge=0, lt=1, examples=[0.1])] = 0.0
    split_seed: Annotated[int, Field(ge=0, lt=2**31, examples=[0])] = 0
    boxes: Annotated[Boxes, Field(description="What marked objects make: a crop each, or whole pictures.")] = "crop"

    def new(self) -> NewDataset:
        """Raises InvalidFields."""
        splits = SplitRequest(self.validation_split, self.test_split, self.split_seed)
        return NewDataset(self.name or "dataset", splits, self.boxes)


class Check(BaseModel):
    """What is worth knowing of a dataset, one entry a code. Errors reject it.

    `examples`: up to five paths, or names of classes where it is about classes.
    """

    code: str
    severity: Literal["error", "warning"]
    count: int
    examples: list[str]
    message: str
    advice: str


class FileProblem(BaseModel):
    """`path` is null where it is about the whole set. `left_out`: the file is not used."""

    path: str | None
    code: str
    message: str
    left_out: bool = False


class DatasetAnswer(BaseModel):
    """`counts`: pictures by split and class. `problems`: file by file, also those that are used all the same."""

    model_config = _example(examples.DATASET)

    id: str
    name: str
    state: str
    revision: str | None
    files: int
    classes: list[str] | None
    counts: dict[str, dict[str, int]] | None
    checks: list[Check] | None
    problems: list[FileProblem]
    created_at: Instant

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        return cls.model_validate(asdict(dataset))


class JobRequest(BaseModel):
    """A training run: which dataset, under which name, by which recipe."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "dataset": examples.DATASET["id"],
                    "model": "signs",
                    "recipe": {"preset": "fine-tuning", "epochs": 5},
                }
            ]
        },
    )

    dataset: Annotated[str, Field(pattern=TEXT)]
    model: Annotated[str, AfterValidator(_as_field(check_name))]
    recipe: Annotated[AskedRecipe, Field(default=None, validate_default=True)]
    priority: Priority = 0
    metadata: Annotated[dict[str, JsonValue], Field(description="Yours: kept and given back, never read.")] = {}


class JobProgress(BaseModel):
    """Epochs and steps count from 1; rate: pictures a second; eta_seconds: to the job's end, as far as it is known.

    All are null before the job runs; those that a phase lacks stay null. Of a job that has ended: where it was last.
    """

    phase: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    rate: float | None = None
    eta_seconds: float | None = None


class JobError(BaseModel):
    code: str
    message: str


class JobAnswer(BaseModel):
    """`recipe`: every choice of the training; of the preset auto what was asked, until a plan has made it a whole one.

    `result`: of a plan the choice, its reasons and its candidates; of a validation the dataset's state and revision.
    """

    model_config = _example(examples.JOB)

    id: str
    kind: str
    state: str
    model: str | None
    version: int | None
    dataset: str | None
    revision: str | None
    recipe: dict[str, Any] | None
    priority: int
    progress: JobProgress
    metrics: dict[str, Any] | None
    result: dict[str, Any] | None
    failures: int
    error: JobError | None
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    metadata: dict[str, Any]

    @classmethod
    def of(cls, job: Job) -> Self:
        error = {"code": job.error_code, "message": job.error_message} if job.error_code else None
        progress = dict(job.progress or {})
        if job.finished_at is not None:  # what was to come when it was last heard of
            progress.pop("eta_seconds", None)
        return cls.model_validate(asdict(job) | {"progress": progress, "error": error})


class EventAnswer(BaseModel):
    model_config = _example(examples.EVENT)

    id: int
    type: str
    data: dict[str, Any]
    at: Instant

    @classmethod
    def of(cls, event: Event) -> Self:
        return cls.model_validate(asdict(event))
