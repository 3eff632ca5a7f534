"""Predictions: pictures in, labels out."""

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from app.deps import AliasName, ModelName, Services, UseServices, VersionNumber
from app.errors import problems
from app.pictures import pictures
from app.schemas import Prediction
from app.uploads import media_type
from graft.errors import NotAPicture
from graft.images import sniff

router = APIRouter(prefix="/models/{model}", tags=["predict"])

Top = Annotated[int, Query(ge=1, le=1000, description="How many labels for each picture.", examples=[5])]
PICTURE = {"type": "string", "format": "binary"}
DOCUMENTED: dict[str, Any] = {
    "responses": problems(400, 404, 413, 415),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "One or more `file` parts, or one picture as it is: JPEG, PNG, WebP, GIF, BMP or TIFF, "
            "told by content.",
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"file": {"type": "array", "items": PICTURE}},
                        "required": ["file"],
                    },
                    "encoding": {"file": {"contentType": "image/*"}},
                },
                "image/*": {"schema": PICTURE},
                "application/octet-stream": {"schema": PICTURE},
            },
        }
    },
}


@router.post("/predict", summary="Classify pictures with a model's stable version", **DOCUMENTED)
async def predict(request: Request, services: UseServices, model: ModelName, top: Top = 5) -> Prediction:
    return await _predict(request, services, model, top)


@router.post("/versions/{version}/predict", summary="Classify pictures with one version of a model", **DOCUMENTED)
async def predict_version(
    request: Request, services: UseServices, model: ModelName, version: VersionNumber, top: Top = 5
) -> Prediction:
    return await _predict(request, services, model, top, version=version)


@router.post("/aliases/{alias}/predict", summary="Classify pictures with the version an alias points at", **DOCUMENTED)
async def predict_alias(
    request: Request, services: UseServices, model: ModelName, alias: AliasName, top: Top = 5
) -> Prediction:
    return await _predict(request, services, model, top, alias=alias)


async def _predict(
    request: Request, services: Services, model: str, top: int, *, version: int | None = None, alias: str | None = None
) -> Prediction:
    predictor = services.engine.get()
    # Before megabytes are read for nothing. Which version answers is settled only when the prediction begins.
    await run_in_threadpool(predictor.resolve, model, version=version, alias=alias)
    limits = services.limits
    files = await pictures(request, limit=limits.predict_bytes, count=limits.predict_pictures)
    if media_type(request) == "application/json" and sniff(files[0][1]) is None:
        raise NotAPicture(
            "A prediction takes a picture as the body, or multipart/form-data with file parts; received JSON, which is "
            "not accepted yet."
        )
    predicted = await anyio.to_thread.run_sync(
        lambda: predictor.predict(model, files, version=version, alias=alias, top=top), limiter=services.predicting
    )
    return Prediction.of(predicted)
