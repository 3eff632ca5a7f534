"""Jobs: start a training, follow it, stop it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import StringConstraints

from app import submit
from app.deps import AfterId, JobId, PageSize, UseServices
from app.errors import problems
from app.idempotency import UseOnce
from app.json_route import JsonRoute
from app.schemas import TEXT, EventAnswer, JobAnswer, JobRequest, Page
from graft.jobs import Job, State

BuiltKind = Literal["validate", "train"]  # those of graft.jobs.Kind that a worker does today
Text = Annotated[str, StringConstraints(pattern=TEXT)]

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=JsonRoute)


@router.post("", status_code=202, summary="Train a model on a dataset", responses=problems(400, 404, 409, 413, 507))
def create(body: JobRequest, services: UseServices, response: Response, once: UseOnce) -> JobAnswer:
    """The dataset must be ready; the job keeps to its revision of this moment. Progress is at the answer's Location."""

    def train(id: str | None) -> Job:
        return submit.training(
            services.datasets,
            services.jobs,
            services.doorbell,
            dataset=body.dataset,
            model=body.model,
            recipe=body.recipe,
            priority=body.priority,
            metadata=body.metadata,
            id=id,
        )

    job = once.make("job", services.jobs.get, train)
    response.headers.update({"Location": f"/api/v1/jobs/{job.id}", "Retry-After": str(submit.RETRY_SECONDS)})
    return JobAnswer.of(job)


@router.get("", summary="List jobs, newest first", responses=problems(400))
def index(
    services: UseServices,
    state: Annotated[tuple[State, ...], Query()] = (),
    kind: Annotated[tuple[BuiltKind, ...], Query()] = (),
    model: Annotated[tuple[Text, ...], Query()] = (),
    dataset: Annotated[tuple[Text, ...], Query()] = (),
    limit: PageSize = 50,
    after: AfterId = None,
) -> Page[JobAnswer]:
    """A filter that is given several times takes any of its values."""
    jobs, more = services.jobs.list(limit=limit, after=after, states=state, kinds=kind, models=model, datasets=dataset)
    return Page(data=[JobAnswer.of(job) for job in jobs], has_more=more)


@router.get("/{job}", summary="How a job is getting on", responses=problems(404))
def show(services: UseServices, job: JobId) -> JobAnswer:
    return JobAnswer.of(services.jobs.get(job))


@router.post("/{job}/cancel", summary="Stop a job", responses=problems(404, 409, 507))
def cancel(services: UseServices, job: JobId) -> JobAnswer:
    """A queued job is cancelled at once; a running one is `cancelling` until its process has left."""
    return JobAnswer.of(services.jobs.cancel(job))


@router.get("/{job}/events", summary="What happened to a job, oldest first", responses=problems(404))
def events(
    services: UseServices,
    job: JobId,
    after: Annotated[int, Query(ge=0, lt=2**63, description="Id of the last event of the page before.")] = 0,
    limit: PageSize = 100,
) -> Page[EventAnswer]:
    found, more = services.jobs.events(job, after=after, limit=limit)
    return Page(data=[EventAnswer.of(event) for event in found], has_more=more)
