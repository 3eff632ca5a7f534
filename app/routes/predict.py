"""Predictions: pictures in, labels out."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.bodies import JSON
from app.deps import AliasName, ModelName, Services, UseServices, VersionNumber
from app.errors import problems
from app.pictures import BODY, pictures_unless_busy
from app.prediction_schemas import Prediction, Predictions
from app.waiting import Timeout, unless_left
from graft.errors import InvalidFields, TooLarge

MODELS = 32
LABELS = 100_000  # in one answer
LABELS_AT_ONCE = 1_000  # more of them would hold the event loop up while they are written
router = APIRouter(tags=["predict"])

Top = Annotated[int, Query(ge=1, le=1000, description="How many labels for each picture.", examples=[5])]
Models = Annotated[
    list[str],
    Query(description=f"Names of at most {MODELS} models, with commas between.", examples=[["signs,vgg16"]]),
]
DOCUMENTED: dict[str, Any] = {"responses": problems(400, 404, 413, 415), "openapi_extra": BODY}
ONE: dict[str, Any] = {"response_model": Prediction, **DOCUMENTED}


@router.put("/models/{model}/predict", include_in_schema=False)  # `curl -T` says PUT
@router.post("/models/{model}/predict", summary="Classify pictures with a model's stable version", **ONE)
async def predict(
    request: Request, services: UseServices, model: ModelName, top: Top = 5, timeout: Timeout = None
) -> Response:
    return await _predict(request, services, model, top, timeout)


@router.put("/models/{model}/versions/{version}/predict", include_in_schema=False)
@router.post(
    "/models/{model}/versions/{version}/predict", summary="Classify pictures with one version of a model", **ONE
)
async def predict_version(
    request: Request,
    services: UseServices,
    model: ModelName,
    version: VersionNumber,
    top: Top = 5,
    timeout: Timeout = None,
) -> Response:
    return await _predict(request, services, model, top, timeout, version=version)


@router.put("/models/{model}/aliases/{alias}/predict", include_in_schema=False)
@router.post(
    "/models/{model}/aliases/{alias}/predict",
    summary="Classify pictures with the version an alias points at",
    **ONE,
)
async def predict_alias(
    request: Request,
    services: UseServices,
    model: ModelName,
    alias: AliasName,
    top: Top = 5,
    timeout: Timeout = None,
) -> Response:
    return await _predict(request, services, model, top, timeout, alias=alias)


@router.put("/predict", include_in_schema=False)
@router.post("/predict", summary="Classify pictures with many models at once", response_model=Predictions, **DOCUMENTED)
async def predict_many(
    request: Request, services: UseServices, models: Models, top: Top = 5, timeout: Timeout = None
) -> Response:
    """Stable versions answer, each as it does alone. Models that prepare pictures alike share the work."""
    names = _names(models)
    predictor = services.engine.get()
    for name in names:
        await run_in_threadpool(predictor.resolve, name)
    files = await pictures_unless_busy(request, services, timeout)
    labels = len(files) * len(names) * top
    if labels > LABELS:
        raise TooLarge(
            f"An answer has at most {LABELS:,} labels; {len(files)} pictures, {len(names)} models and top={top} make "
            f"{labels:,}. Send fewer pictures, or lower top."
        )
    predicted = await unless_left(request, predictor.predict_many(names, files, top=top, timeout=timeout))
    return await _answer(lambda: Predictions(results=[Prediction.of(each) for each in predicted]), labels)


def _names(models: list[str]) -> list[str]:
    """Those of a query, each once. Raises InvalidFields."""
    names = [name.strip() for each in models for name in each.split(",")]
    if "" in names:
        raise InvalidFields("models must be names with commas between; received an empty one. Take out its comma.")
    if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InvalidFields(f"models must name each model once; received {repeated[0][:100]!r} again. Take it out.")
    if len(names) > MODELS:
        raise InvalidFields(f"models must name at most {MODELS}; received {len(names)}. Ask the others after these.")
    return names


async def _predict(
    request: Request,
    services: Services,
    model: str,
    top: int,
    timeout: float | None,
    *,
    version: int | None = None,
    alias: str | None = None,
) -> Response:
    predictor = services.engine.get()
    # Before megabytes are read for nothing. Which version answers is settled only when the prediction begins.
    await run_in_threadpool(predictor.resolve, model, version=version, alias=alias)
    files = await pictures_unless_busy(request, services, timeout)
    work = predictor.predict(model, files, version=version, alias=alias, top=top, timeout=timeout)
    predicted = await unless_left(request, work)
    return await _answer(lambda: Prediction.of(predicted), len(files) * top)


async def _answer(build: Callable[[], Prediction | Predictions], labels: int) -> Response:
    def write() -> Response:
        return Response(build().model_dump_json(), media_type=JSON)

    return write() if labels <= LABELS_AT_ONCE else await run_in_threadpool(write)
