"""Datasets: labelled pictures go in, at once or call by call; a job then looks at every one of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app import json_route, uploads
from app.accepted import announce
from app.bodies import JSON, body, media_type
from app.deps import AfterId, DatasetId, PageSize, UseServices
from app.errors import problems
from app.idempotency import UseOnce
from app.schemas import DatasetAnswer, DatasetRequest, Page, Text
from graft.datasets.rows import State

router = APIRouter(prefix="/datasets", tags=["datasets"])
OPENED: dict[int | str, dict[str, Any]] = {
    201: {"model": DatasetAnswer, "description": "JSON came: a dataset is open. Add files to it, then commit."}
}
JSON_BODY = {JSON: {"schema": DatasetRequest.model_json_schema(), "example": {"name": "signs", "test_split": 0.1}}}


@router.put("", status_code=202, include_in_schema=False)  # `curl -T` says PUT
@router.post(
    "",
    status_code=202,
    summary="Upload pictures, or open a dataset for them",
    responses=OPENED | problems(400, 409, 413, 415, 507),
    openapi_extra=uploads.documented(DatasetRequest.model_json_schema()["properties"], more=JSON_BODY),
)
async def create(
    request: Request,
    services: UseServices,
    response: Response,
    once: UseOnce,
    query: Annotated[DatasetRequest, Query()],
) -> DatasetAnswer:
    """The structure is checked before the answer; a job then decodes the pictures.

    What the query says is checked before the body is read, and must hold by itself; form fields come on top of it.
    """
    query.new()
    if media_type(request) == JSON:
        said = json_route.read_object(b"".join([piece async for piece in body(request, json_route.LIMIT)]))
        wanted = uploads.merged(query, said)
        opened = await run_in_threadpool(
            once.make, "ds", services.datasets.get, lambda made: services.datasets.open(wanted.new(), id=made)
        )
        response.status_code = 201
        response.headers["Location"] = f"/api/v1/datasets/{opened.id}"
        return DatasetAnswer.of(opened)
    dataset = await run_in_threadpool(once.find, "ds", services.work.dataset_again)
    if dataset is None:
        async with uploads.taken_in(request, services, DatasetRequest.model_fields) as (intake, received):
            new = uploads.merged(query, received.fields, name=received.name).new()
            dataset = await run_in_threadpool(services.work.dataset, intake, new, id=once.id("ds"))
    announce(response, f"datasets/{dataset.id}")
    return DatasetAnswer.of(dataset)


@router.put("/{dataset}/files", include_in_schema=False)
@router.post(
    "/{dataset}/files",
    summary="Add pictures to a dataset that is open or ready",
    responses=problems(400, 404, 409, 413, 415, 507),
    openapi_extra=uploads.documented({}),
)
async def add(request: Request, services: UseServices, once: UseOnce, dataset: DatasetId) -> DatasetAnswer:
    """All of them or none. On a dataset that is ready this opens its next revision; the old one can still be used.

    What is there already, with the same path and content, is fine: a call may be repeated.
    """
    datasets = services.datasets
    found = await run_in_threadpool(once.find, "batch", lambda batch: datasets.with_batch(dataset, batch))
    if found is None:
        await run_in_threadpool(datasets.check_open, dataset)
        async with uploads.taken_in(request, services) as (intake, _):
            found = await run_in_threadpool(datasets.add, dataset, intake, batch_id=once.id("batch"))
    return DatasetAnswer.of(found)


@router.delete(
    "/{dataset}/files",
    summary="Take back what was added since the last revision",
    responses=problems(404, 409, 507),
)
def drop_added(services: UseServices, dataset: DatasetId) -> DatasetAnswer:
    """The dataset is `ready` again, with the revision that it has; without one it is open, and empty."""
    return DatasetAnswer.of(services.datasets.drop_added(dataset))


@router.post(
    "/{dataset}/commit",
    status_code=202,
    summary="Seal a dataset: its pictures are checked",
    responses=problems(400, 404, 409, 507),
)
def commit(services: UseServices, response: Response, dataset: DatasetId) -> DatasetAnswer:
    """A dataset that is `validating` or `ready` stays as it is."""
    committed = services.work.commit(dataset)
    announce(response, f"datasets/{committed.id}")
    return DatasetAnswer.of(committed)


@router.get("", summary="List datasets, newest first", responses=problems(400))
def index(
    services: UseServices,
    state: Annotated[tuple[State, ...], Query()] = (),
    name: Annotated[tuple[Text, ...], Query()] = (),
    limit: PageSize = 50,
    after: AfterId = None,
) -> Page[DatasetAnswer]:
    """A filter that is given several times takes any of its values."""
    datasets, more = services.datasets.list(limit=limit, after=after, states=state, names=name)
    return Page(data=[DatasetAnswer.of(dataset) for dataset in datasets], has_more=more)


@router.get("/{dataset}", summary="What a dataset holds, and what was left out", responses=problems(404))
def show(services: UseServices, dataset: DatasetId) -> DatasetAnswer:
    return DatasetAnswer.of(services.datasets.get(dataset))


@router.delete(
    "/{dataset}",
    status_code=204,
    summary="Delete a dataset and its files",
    response_class=Response,
    responses=problems(404, 409, 507),
)
def delete(services: UseServices, dataset: DatasetId) -> None:
    services.datasets.delete(dataset)
