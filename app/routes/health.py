"""Whether the process lives, and whether it can do its work. No key is asked."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.deps import UseServices
from app.errors import documented, kind_of, problem
from app.schemas import Live, Ready
from graft.errors import Unavailable

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", summary="Is the process alive?")
async def live() -> Live:
    return Live()


@router.get("/ready", summary="Can it answer predictions?", response_model=Ready, responses=documented(503))
async def ready(services: UseServices) -> Ready | JSONResponse:
    """200 once the trunk is loaded, with or without the ImageNet classifier; 503 before, and from SIGTERM on."""
    reasons: list[Unavailable] = []
    if services.drain.draining:
        reasons.append(Unavailable("The service is shutting down.", retry_after=10))
    if obstacle := services.engine.obstacle():
        reasons.append(obstacle)
    if not reasons:
        state = services.engine.get().state()
        return Ready(classifier=state.classifier, precision=state.precision)
    texts = [str(reason) for reason in reasons]
    headers = {"Retry-After": str(reasons[0].retry_after)}
    return problem(kind_of(reasons[0]), " ".join(texts), headers=headers, reasons=texts)
