"""Predictions: pictures in, labels out."""

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from app.deps import AliasName, ModelName, Services, UseServices, VersionNumber
from app.errors import problems
from app.pictures import BODY, pictures
from app.prediction_schemas import Prediction, Predictions
from graft.errors import InvalidFields, TooLarge

MODELS = 32
LABELS = 100_000  # in one answer
router = APIRouter(tags=["predict"])

Top = Annotated[int, Query(ge=1, le=1000, description="How many labels for each picture.", examples=[5])]
Models = Annotated[
    list[str],
    Query(description=f"Names of at most {MODELS} models, with commas between.", examples=[["signs,vgg16"]]),
]
DOCUMENTED: dict[str, Any] = {"responses": problems(400, 404, 413, 415), "openapi_extra": BODY}


@router.put("/models/{model}/predict", include_in_schema=False)  # `curl -T` says PUT
@router.post("/models/{model}/predict", summary="Classify pictures with a model's stable version", **DOCUMENTED)
async def predict(request: Request, services: UseServices, model: ModelName, top: Top = 5) -> Prediction:
    return await _predict(request, services, model, top)


@router.put("/models/{model}/versions/{version}/predict", include_in_schema=False)
@router.post(
    "/models/{model}/versions/{version}/predict", summary="Classify pictures with one version of a model", **DOCUMENTED
)
async def predict_version(
    request: Request, services: UseServices, model: ModelName, version: VersionNumber, top: Top = 5
) -> Prediction:
    return await _predict(request, services, model, top, version=version)


@router.put("/models/{model}/aliases/{alias}/predict", include_in_schema=False)
@router.post(
    "/models/{model}/aliases/{alias}/predict",
    summary="Classify pictures with the version an alias points at",
    **DOCUMENTED,
)
async def predict_alias(
    request: Request, services: UseServices, model: ModelName, alias: AliasName, top: Top = 5
) -> Prediction:
    return await _predict(request, services, model, top, alias=alias)


@router.put("/predict", include_in_schema=False)
@router.post("/predict", summary="Classify pictures with many models at once", **DOCUMENTED)
async def predict_many(request: Request, services: UseServices, models: Models, top: Top = 5) -> Predictions:
    """Stable versions answer, each as it does alone. Models that prepare pictures alike share the work."""
    names = _names(models)
    predictor = services.engine.get()
    for name in names:
        await run_in_threadpool(predictor.resolve, name)
    limits = services.limits
    files = await pictures(request, limit=limits.predict_bytes, count=limits.predict_pictures)
    if len(files) * len(names) * top > LABELS:
        raise TooLarge(
            f"An answer has at most {LABELS:,} labels; {len(files)} pictures, {len(names)} models and top={top} make "
            f"{len(files) * len(names) * top:,}. Send fewer pictures, or lower top."
        )
    return await anyio.to_thread.run_sync(
        lambda: Predictions(results=[Prediction.of(each) for each in predictor.predict_many(names, files, top=top)]),
        limiter=services.predicting,
    )


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
    request: Request, services: Services, model: str, top: int, *, version: int | None = None, alias: str | None = None
) -> Prediction:
    predictor = services.engine.get()
    # Before megabytes are read for nothing. Which version answers is settled only when the prediction begins.
    await run_in_threadpool(predictor.resolve, model, version=version, alias=alias)
    limits = services.limits
    files = await pictures(request, limit=limits.predict_bytes, count=limits.predict_pictures)
    return await anyio.to_thread.run_sync(
        lambda: Prediction.of(predictor.predict(model, files, version=version, alias=alias, top=top)),
        limiter=services.predicting,
    )
