"""The registry: models, their versions, aliases and reports."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse

from app import catalogue
from app.accept import preferred
from app.deps import AfterName, AliasName, ModelName, PageSize, UseServices, VersionNumber
from app.errors import problems
from app.examples import CARD, REPORT
from app.json_route import JsonRoute
from app.schemas import AliasRequest, Model, Page
from graft import registry
from graft.errors import NotFound

router = APIRouter(prefix="/models", tags=["models"], route_class=JsonRoute)

JSON, HTML, PAGE = "application/json", "text/html", "report.html"
TYPES = {".png": "image/png", ".html": HTML}
STRICT = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
ReportFile = Annotated[str, Path(description="Its name.", examples=[PAGE])]


def _json(description: str, example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {"application/json": {"example": example}}}}


BINARY = {"schema": {"type": "string", "format": "binary"}}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"image/png": BINARY, HTML: {"schema": {"type": "string"}}}}
}

DELETE: dict[str, Any] = {"status_code": 204, "response_class": Response, "responses": problems(404, 409, 507)}


@router.get("", summary="List models by name", responses=problems(400))
def index(
    services: UseServices,
    prefix: Annotated[str, Query(max_length=63, description="Only models whose names begin so.")] = "",
    limit: PageSize = 50,
    after: AfterName = None,
) -> Page[Model]:
    """`vgg16`, the stock ImageNet classifier, is among them."""
    models, more = catalogue.page(services.registry, services.engine, prefix=prefix, limit=limit, after=after)
    return Page(data=models, has_more=more)


@router.get("/{model}", summary="A model's versions and aliases", responses=problems(404))
def show(services: UseServices, model: ModelName) -> Model:
    return catalogue.model(services.registry, services.engine, model)


@router.get(
    "/{model}/versions/{version}",
    summary="A version's card: layers, classes, recipe, metrics",
    responses=_json("The card.", CARD) | problems(404),
)
def card(services: UseServices, model: ModelName, version: VersionNumber) -> dict[str, Any]:
    return catalogue.card(services.registry, services.engine, model, version)


@router.delete("/{model}", summary="Delete a model with all its versions", **DELETE)
def delete(services: UseServices, model: ModelName) -> None:
    services.registry.delete(model)


@router.delete("/{model}/versions/{version}", summary="Delete a version", **DELETE)
def delete_version(services: UseServices, model: ModelName, version: VersionNumber) -> None:
    """Its number is never given again."""
    services.registry.delete(model, version)


@router.put(
    "/{model}/aliases/{alias}", summary="Point an alias at a version", responses=problems(400, 404, 409, 413, 507)
)
def set_alias(services: UseServices, model: ModelName, alias: AliasName, body: AliasRequest) -> Model:
    """`stable` follows the newest version until it is set here."""
    services.registry.set_alias(model, alias, body.version)
    return catalogue.model(services.registry, services.engine, model)


@router.delete("/{model}/aliases/{alias}", summary="Take an alias away", **DELETE)
def delete_alias(services: UseServices, model: ModelName, alias: AliasName) -> None:
    """Without its own place, `stable` follows the newest version again."""
    services.registry.delete_alias(model, alias)


@router.get(
    "/{model}/versions/{version}/report",
    summary="A version's evaluation",
    response_class=FileResponse,
    responses=_json(f"The evaluation. As `{HTML}`, where Accept prefers that: a page that shows it.", REPORT)
    | problems(404),
)
def report(request: Request, services: UseServices, model: ModelName, version: VersionNumber) -> FileResponse:
    """As JSON, or to browsers as the page `report.html`."""
    vary = {"Vary": "Accept"}
    if preferred(request, (JSON, HTML)) == HTML:
        with suppress(NotFound):  # a version from before there were pages
            return _report_file(services.registry, model, version, PAGE, STRICT | vary)
    path = catalogue.report_file(services.registry, model, version, registry.METRICS)
    return FileResponse(path, media_type=JSON, headers=vary)


@router.get(
    "/{model}/versions/{version}/report/{file}",
    summary="A file of a version's report",
    response_class=FileResponse,
    responses=FILE | problems(404),
)
def report_file(services: UseServices, model: ModelName, version: VersionNumber, file: ReportFile) -> FileResponse:
    """`report.html`, one page with everything; `confusion_matrix.png`, true classes down, predicted across;
    `reliability.png`, how often it was right against how sure it was; `learning_curves.png`, by epoch.
    """
    return _report_file(services.registry, model, version, file)


def _report_file(
    models: registry.Registry, model: str, version: int, name: str, headers: Mapping[str, str] = STRICT
) -> FileResponse:
    path = catalogue.report_file(models, model, version, f"{registry.REPORT}/{name}")
    # Class and file names in it are other people's: whatever a browser made of them, nothing runs or is loaded.
    return FileResponse(path, media_type=TYPES[path.suffix], headers=headers)
