"""Embeddings: pictures in, the trunk's own numbers out."""

from io import BytesIO
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator

from app.accept import preferred
from app.bodies import JSON
from app.deps import UseServices
from app.errors import problems
from app.pictures import BODY, pictures_unless_busy
from app.prediction_schemas import Embeddings
from app.waiting import Timeout, unless_left
from graft.engine import answers
from graft.errors import TooLarge
from graft.vgg16.layers import LAST, LAYERS, Pooling, pooled_width

NPY = "application/x-npy"
# In one answer. As JSON a number takes up to 20 bytes of text, and 32 while it is written.
NUMBERS = {JSON: 2**20, NPY: 2**22}
NAMES = [layer.name for layer in LAYERS[1:]]
router = APIRouter(tags=["predict"])


def _known(layer: str) -> str:
    if layer not in NAMES:
        raise ValueError(f"layer must be one of {', '.join(NAMES)}; received {layer[:100]!r}.")
    return layer


Layer = Annotated[
    str,
    AfterValidator(_known),
    Query(description="The layer of VGG16 whose output is wanted.", json_schema_extra={"enum": NAMES}),
]
Pool = Annotated[Pooling, Query(description="What is made of the layer's height and width.")]
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": f"As `{NPY}`, where Accept prefers that: a NumPy file of float32 (pictures, numbers).",
        "content": {NPY: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.put("/embed", include_in_schema=False)  # `curl -T` says PUT
@router.post(
    "/embed",
    summary="Embed pictures: the output of a layer of VGG16, pooled",
    response_model=Embeddings,
    responses=ANSWERS | problems(400, 413, 415),
    openapi_extra=BODY,
)
async def embed(
    request: Request, services: UseServices, layer: Layer = LAST, pooling: Pool = "avg", timeout: Timeout = None
) -> Response:
    """Pictures are prepared as Keras' `load_img` and `preprocess_input` do it."""
    predictor, form = services.engine.get(), preferred(request, (JSON, NPY))
    files = await pictures_unless_busy(request, services, timeout)
    numbers = len(files) * pooled_width(pooling, layer)
    if numbers > NUMBERS[form]:
        raise TooLarge(
            f"An answer has at most {NUMBERS[JSON]:,} numbers as JSON and {NUMBERS[NPY]:,} as {NPY}; {len(files)} of "
            f"{layer} with pooling {pooling} make {numbers:,}. Send fewer pictures, pool by avg or max, or ask with "
            f"Accept: {NPY}."
        )
    embedded = await unless_left(request, predictor.embed(layer, pooling, files, timeout=timeout))
    return await run_in_threadpool(_answer, embedded, form)


def _answer(embedded: answers.Embeddings, form: str) -> Response:
    if form == JSON:
        return Response(Embeddings.of(embedded).model_dump_json(), media_type=JSON)
    file = BytesIO()
    np.save(file, embedded.vectors)
    return Response(file.getvalue(), media_type=NPY)
