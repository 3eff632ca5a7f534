"""What a job is, and the states it goes through.

    queued ──claim──> running ──────────────> succeeded | failed
      │  ^               │ │
      │  └─release, lost─┘ └─cancel──> cancelling ──release, lost──> cancelled
      └─cancel──> cancelled

`fence` rises with every claim. `failures` counts lost runs only; the run that makes it MAX_FAILURES fails the job.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["validate", "train", "plan", "predict", "export"]
State = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]

QUEUE_OF: Final[dict[Kind, str]] = {
    "validate": "datasets",
    "export": "datasets",
    "train": "training",
    "plan": "training",
    "predict": "training",
}
QUEUES: Final = tuple(sorted(set(QUEUE_OF.values())))
OWNED: Final[tuple[State, ...]] = ("running", "cancelling")
UNFINISHED: Final[tuple[State, ...]] = ("queued", *OWNED)
FINISHED: Final[tuple[State, ...]] = ("succeeded", "failed", "cancelled")
MAX_FAILURES: Final = 3


@dataclass(frozen=True)
class Job:
    """A row of `jobs`, without what only the claim needs. Times: epoch milliseconds."""

    id: str
    kind: Kind
    queue: str
    state: State
    model: str | None
    version: int | None
    dataset: str | None
    revision: str | None
    recipe: dict[str, Any] | None
    priority: int
    fence: int
    failures: int
    progress: dict[str, Any] | None
    metrics: dict[str, Any] | None
    result: dict[str, Any] | None
    error_code: str | None
    error_message: str | None
    metadata: dict[str, Any]
    created_at: int
    queued_at: int
    started_at: int | None
    finished_at: int | None


@dataclass(frozen=True)
class Event:
    """One entry of a job's log. Ids rise within a job; at: epoch milliseconds."""

    id: int
    type: str
    data: dict[str, Any]
    at: int


@dataclass(frozen=True)
class Standing:
    """How far a job is: the id of its newest event, its progress, and whether it has ended."""

    event: int
    progress: dict[str, Any] | None
    finished: bool
