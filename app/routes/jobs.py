"""Jobs: start a training, follow it, stop it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse
from pydantic import Field

from app.accept import preferred
from app.accepted import announce
from app.deps import AfterId, JobId, PageSize, UseServices
from app.errors import problems
from app.examples import STREAM
from app.idempotency import UseOnce
from app.json_route import JsonRoute
from app.schemas import EventAnswer, JobAnswer, JobRequest, Page, Text
from graft.jobs import Job, State

BuiltKind = Literal["validate", "train", "plan"]  # those of graft.jobs.Kind that a worker does today

EventId = Annotated[int, Field(ge=0, lt=2**63)]
EVENT_STREAM = "text/event-stream"
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": f"A page; or, for `Accept: {EVENT_STREAM}`, the events as they happen until "
        "the job has ended: `id`, `event` (its type) and `data` (the event as in a page). Between them, without an id, "
        "`event: progress` with the job's progress as `data`, whenever it has changed.",
        "content": {EVENT_STREAM: {"example": STREAM}},
    },
    204: {"description": "The stream of a job that has ended, all of which the caller has: do not come back."},
}

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=JsonRoute)


@router.post("", status_code=202, summary="Train a model on a dataset", responses=problems(400, 404, 409, 413, 507))
def create(body: JobRequest, services: UseServices, response: Response, once: UseOnce) -> JobAnswer:
    """On a dataset that has a revision the job keeps to that of this moment; on one that is still checked it waits.

    A recipe of the preset auto is planned once the job runs; until then the job shows what was asked. Progress is at
    the answer's Location.
    """

    def train(id: str | None) -> Job:
        return services.work.train(
            dataset=body.dataset,
            model=body.model,
            recipe=body.recipe,
            priority=body.priority,
            metadata=body.metadata,
            id=id,
        )

    job = once.make("job", services.jobs.get, train)
    announce(response, f"jobs/{job.id}")
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


@router.get(
    "/{job}/events",
    summary="What happened to a job, oldest first; or what happens to it, as it does",
    response_model=Page[EventAnswer],
    responses=STREAMED | problems(404),
)
def events(
    request: Request,
    services: UseServices,
    job: JobId,
    after: Annotated[EventId, Query(description="Id of the last event of the page before.")] = 0,
    limit: PageSize = 100,
    last_event_id: Annotated[
        EventId | None,
        Header(alias="Last-Event-ID", description="Of a stream that broke off: it goes on after this event."),
    ] = None,
) -> Page[EventAnswer] | Response:
    """A stream also ends when the service stops; it goes on elsewhere, or later, from the last id that arrived."""
    if preferred(request, ("application/json", EVENT_STREAM)) != EVENT_STREAM:
        found, more = services.jobs.events(job, after=after, limit=limit)
        return Page(data=[EventAnswer.of(event) for event in found], has_more=more)
    # A browser that comes back asks the same address again: what it says in the header is newer.
    seen = after if last_event_id is None else last_event_id
    services.jobs.get(job)
    standing = services.jobs.standings([job])[job]
    if standing.finished and seen >= standing.event:
        # An EventSource comes back whenever a stream ends. 204 tells it not to (WHATWG HTML, 9.2.1).
        return Response(status_code=204)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx would collect it
    return EventSourceResponse(services.streams.follow(job, seen, standing), headers=headers)
