"""The plan of a training: which layers to train, why, and how long that takes."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from app.accepted import announce
from app.deps import DatasetId, UseServices
from app.errors import problems
from app.idempotency import UseOnce
from app.json_route import JsonRoute
from app.schemas import AskedRecipe, JobAnswer
from graft.training.presets import RecipeRequest

router = APIRouter(prefix="/datasets/{dataset}", tags=["jobs"], route_class=JsonRoute)


@router.post("/plan", status_code=202, summary="Plan a training", responses=problems(400, 404, 409, 413, 507))
def plan(
    services: UseServices,
    response: Response,
    once: UseOnce,
    dataset: DatasetId,
    body: Annotated[
        AskedRecipe | None,
        Body(
            description="A recipe of the preset auto: what is fixed beforehand, and the time that there is.",
            examples=[{"time_budget": 600, "hidden_units": [128]}],
        ),
    ] = None,
) -> JobAnswer:
    """A job that looks at the pictures and chooses what a training by this recipe would; its `result` says why."""
    recipe = body or RecipeRequest.parse(None)
    job = once.make("job", services.jobs.get, lambda made: services.work.plan(dataset, recipe, id=made))
    announce(response, f"jobs/{job.id}")
    return JobAnswer.of(job)
