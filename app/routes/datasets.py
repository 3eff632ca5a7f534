"""Datasets: a zip of labelled pictures goes in, a job looks at every one of them."""

from pathlib import PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app import submit, uploads
from app.deps import AfterId, DatasetId, PageSize, UseServices
from app.errors import problems
from app.schemas import DatasetAnswer, DatasetRequest, Page
from graft.errors import NotAnArchive

router = APIRouter(prefix="/datasets", tags=["datasets"])

ARCHIVE = {"type": "string", "format": "binary"}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A zip, as it is or as the part `archive`. Its folders are the classes, on their own or inside "
        "train/, validation/ and test/.",
        "content": {
            "application/zip": {"schema": ARCHIVE},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"archive": ARCHIVE, **DatasetRequest.model_json_schema()["properties"]},
                    "required": ["archive"],
                }
            },
        },
    }
}


@router.put("", status_code=202, include_in_schema=False)  # `curl -T` says PUT
@router.post(
    "",
    status_code=202,
    summary="Upload a zip of pictures",
    responses=problems(400, 413, 415, 507),
    openapi_extra=BODY,
)
async def create(
    request: Request, services: UseServices, response: Response, query: Annotated[DatasetRequest, Query()]
) -> DatasetAnswer:
    """The structure is checked before the answer; a job then decodes the pictures. Form fields go first."""
    if uploads.media_type(request) == "application/json":
        raise NotAnArchive("A dataset takes a zip: as the body, or as the part archive of a form; received JSON.")
    async with contextmanager_in_threadpool(services.datasets.intake()) as intake:
        upload = await uploads.archive_to(
            intake.archive, request, limit=services.limits.archive_bytes, fields=DatasetRequest.model_fields
        )
        wanted = _merge(query, upload)
        await run_in_threadpool(intake.unpack)
        dataset = await run_in_threadpool(
            submit.dataset, services.datasets, services.jobs, services.doorbell, intake, wanted.new()
        )
    response.headers.update({"Location": f"/api/v1/datasets/{dataset.id}", "Retry-After": str(submit.RETRY_SECONDS)})
    return DatasetAnswer.of(dataset)


def _merge(query: DatasetRequest, upload: uploads.Upload) -> DatasetRequest:
    """What was asked in the query and in form fields; without a name, the file's is taken."""
    fields: dict[str, Any] = query.model_dump(exclude_unset=True) | upload.fields
    if stem := PurePath(upload.filename or "").stem:
        fields.setdefault("name", stem)
    try:
        return DatasetRequest.model_validate(fields)
    except ValidationError as error:
        found = [each | {"loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from None


@router.get("", summary="List datasets, newest first", responses=problems(400))
def index(services: UseServices, limit: PageSize = 50, after: AfterId = None) -> Page[DatasetAnswer]:
    datasets, more = services.datasets.list(limit=limit, after=after)
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
