"""What routes ask for by type. The lifespan composes it; a route finds it on the application."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from app.draining import Drain
from app.examples import DATASET, JOB
from app.metrics import Scrapes
from app.predictor import Predicts
from app.schemas import TEXT
from app.streams import Streams
from app.warmup import Warmup
from graft.datasets import Datasets
from graft.idempotency import IdempotencyKeys
from graft.jobs import Jobs
from graft.registry import Registry
from graft.work import Work


@dataclass(frozen=True)
class Limits:
    """Of one request's body."""

    predict_bytes: int
    predict_pictures: int
    archive_bytes: int


@dataclass(frozen=True)
class Services:
    """Everything that the routes call."""

    jobs: Jobs
    datasets: Datasets
    registry: Registry
    idempotency: IdempotencyKeys
    work: Work
    engine: Warmup[Predicts]
    streams: Streams
    drain: Drain
    limits: Limits
    scrapes: Scrapes


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


UseServices = Annotated[Services, Depends(_services)]

ModelName = Annotated[str, Path(pattern=TEXT, examples=["signs"], description="The model's name.")]
VersionNumber = Annotated[int, Path(ge=1, lt=2**31, examples=[3], description="The version's number.")]
AliasName = Annotated[str, Path(pattern=TEXT, examples=["stable"], description="The alias's name.")]
DatasetId = Annotated[str, Path(pattern=TEXT, examples=[DATASET["id"]], description="The dataset's id.")]
JobId = Annotated[str, Path(pattern=TEXT, examples=[JOB["id"]], description="The job's id.")]
PageSize = Annotated[int, Query(ge=1, le=500, description="Most entries of the answer.")]
AfterId = Annotated[str | None, Query(pattern=TEXT, description="Id of the last entry of the page before.")]
AfterName = Annotated[str | None, Query(pattern=TEXT, description="Name of the last entry of the page before.")]
