"""The metrics, for Prometheus. A key is asked where keys are set: they tell models' names."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from app.accept import preferred
from app.auth import SCHEMES, require_key
from app.deps import UseServices
from app.errors import documented
from app.examples import METRICS

FORMS: Final[dict[str, tuple[Callable[[Collector], bytes], str]]] = {
    "text/plain": (generate_latest, CONTENT_TYPE_PLAIN_0_0_4),
    "application/openmetrics-text": (openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST),
}
SCRAPED: dict[int | str, dict[str, Any]] = {200: {"content": {form: {"example": METRICS} for form in FORMS}}}

router = APIRouter(tags=["health"], dependencies=[*SCHEMES, Depends(require_key)])


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses=SCRAPED | documented(401))
async def metrics(request: Request, services: UseServices) -> Response:
    """In Prometheus' text format, or OpenMetrics where the caller prefers it."""
    ready = not services.drain.draining and services.engine.obstacle() is None
    snapshot = await services.scrapes.take(ready=ready)
    write, content_type = FORMS[preferred(request, tuple(FORMS))]
    return Response(write(snapshot), headers={"Content-Type": content_type})
