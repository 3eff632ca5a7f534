"""The registry: models, their versions, aliases and reports."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse

from app import catalogue
from app.deps import AfterName, AliasName, ModelName, PageSize, UseServices, VersionNumber
from app.errors import problems
from app.examples import CARD, REPORT
from app.json_route import JsonRoute
from app.schemas import AliasRequest, Model, Page
from graft import registry

router = APIRouter(prefix="/models", tags=["models"], route_class=JsonRoute)


def _json(description: str, example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {"application/json": {"example": example}}}}


PNG: dict[int | str, dict[str, Any]] = {
    200: {"description": "A PNG.", "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
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
    responses=_json("The evaluation.", REPORT) | problems(404),
)
def report(services: UseServices, model: ModelName, version: VersionNumber) -> FileResponse:
    path = catalogue.report_file(services.registry, model, version, registry.METRICS)
    return FileResponse(path, media_type="application/json")


@router.get(
    "/{model}/versions/{version}/report/confusion_matrix.png",
    summary="A version's confusion matrix: true classes down, predicted across",
    response_class=FileResponse,
    responses=PNG | problems(404),
)
def confusion_matrix(services: UseServices, model: ModelName, version: VersionNumber) -> FileResponse:
    return _picture(services.registry, model, version, "confusion_matrix.png")


@router.get(
    "/{model}/versions/{version}/report/learning_curves.png",
    summary="Loss and accuracy by epoch",
    response_class=FileResponse,
    responses=PNG | problems(404),
)
def learning_curves(services: UseServices, model: ModelName, version: VersionNumber) -> FileResponse:
    return _picture(services.registry, model, version, "learning_curves.png")


def _picture(models: registry.Registry, model: str, version: int, name: str) -> FileResponse:
    path = catalogue.report_file(models, model, version, f"{registry.REPORT}/{name}")
    return FileResponse(path, media_type="image/png")
