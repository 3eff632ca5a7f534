"""The one-call form: a folder of pictures in, and a model comes of it."""

from typing import Annotated, Any, Self

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from pydantic_core import from_json

from app import uploads
from app.accepted import announce
from app.bodies import JSON, media_type
from app.deps import ModelName, Services, UseServices
from app.errors import problems
from app.idempotency import Once, UseOnce
from app.schemas import DatasetRequest, JobAnswer, Priority
from graft.datasets.intake import Intake
from graft.errors import InvalidFields, NotAnArchive
from graft.jobs import Job
from graft.registry import check_trainable
from graft.training.presets import PRESETS, RecipeRequest
from graft.training.recipe import Recipe

router = APIRouter(prefix="/models/{model}", tags=["jobs"])
Value = Annotated[str | None, Field(description="A field of the recipe, as JSON; what is no JSON is text.")]


class FineTuneRequest(DatasetRequest):
    """What comes along with the files: the dataset's fields, the recipe's, and the job's priority."""

    recipe: Annotated[
        str | None,
        Field(
            description="A preset's name, or a JSON object. The recipe's fields may also stand by themselves.",
            examples=['{"preset": "fine-tuning", "epochs": 5}'],
        ),
    ] = None
    priority: Priority = 0
    preset: Annotated[str | None, Field(description="Where the recipe starts from.", examples=list(PRESETS))] = None
    init: Annotated[Value, Field(examples=["shapes:1"])] = None
    cut: Value = None
    pooling: Value = None
    hidden_units: Annotated[Value, Field(examples=["[64]"])] = None
    batch_norm: Value = None
    dropout: Value = None
    optimizer: Value = None
    learning_rate: Value = None
    trunk_learning_rate: Value = None
    label_smoothing: Value = None
    class_weights: Value = None
    epochs: Annotated[Value, Field(examples=["5"])] = None
    batch_size: Value = None
    validation_batch_size: Value = None
    steps_per_epoch: Value = None
    validation_steps: Value = None
    keep: Value = None
    early_stopping: Annotated[Value, Field(examples=['{"patience": 5}'])] = None
    augmentation: Annotated[Value, Field(examples=['{"flip": "horizontal", "rotation": 10}'])] = None
    seed: Value = None
    preprocessing: Value = None
    interpolation: Value = None
    precision: Value = None
    time_budget: Value = None

    def asked(self) -> RecipeRequest:
        """The recipe, with the fields by themselves laid over it. Raises InvalidFields."""
        base = {} if self.recipe is None else _parsed(self.recipe)
        if isinstance(base, str):
            base = {"preset": base}
        if not isinstance(base, dict):
            raise InvalidFields(f"recipe must be a preset's name or a JSON object; received {self.recipe!r:.100}.")
        fields = self.model_dump(include=set(Recipe.model_fields), exclude_none=True)
        asked = {name: _parsed(value) for name, value in fields.items()}
        if not isinstance(asked.get("hidden_units", []), list):  # 64 or 64,32: curl takes brackets for a range
            asked["hidden_units"] = _parsed(f"[{fields['hidden_units']}]")
        return RecipeRequest.parse(base | asked)

    def checked(self) -> Self:
        """Raises InvalidFields."""
        self.new()
        self.asked()
        return self


def _parsed(value: str) -> Any:
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError:
        return value


@router.put("/fine-tune", status_code=202, include_in_schema=False)  # `curl -T` says PUT
@router.post(
    "/fine-tune",
    status_code=202,
    summary="Upload pictures and train a model on them",
    responses=problems(400, 404, 409, 413, 415, 507),
    openapi_extra=uploads.documented(FineTuneRequest.model_json_schema()["properties"]),
)
async def fine_tune(
    request: Request,
    services: UseServices,
    response: Response,
    once: UseOnce,
    model: ModelName,
    query: Annotated[FineTuneRequest, Query()],
) -> JobAnswer:
    """Makes a dataset of the pictures, and a job that trains once they have been checked.

    The model's name and the query are checked before the body is read; what the query says must hold by itself, and
    form fields come on top of it. The dataset is named after the model, unless it is given a name.
    """
    check_trainable(model)
    query.checked()
    if media_type(request) == JSON:
        raise NotAnArchive(
            "A fine-tuning takes pictures: an archive as the body, or a form; received JSON. "
            "To train on a dataset that is there, POST /api/v1/jobs."
        )
    job = await run_in_threadpool(once.find, "job", services.jobs.get)
    if job is None:
        await run_in_threadpool(services.work.continued, query.asked())
        async with uploads.taken_in(request, services, FineTuneRequest.model_fields) as (intake, received):
            asked = uploads.merged(query, received.fields, name=model).checked()
            job = await run_in_threadpool(_submit, services, intake, model, asked, once)
    announce(response, f"jobs/{job.id}")
    return JobAnswer.of(job)


def _submit(services: Services, intake: Intake, model: str, asked: FineTuneRequest, once: Once) -> Job:
    work, priority = services.work, asked.priority
    recipe = work.continued(asked.asked())  # before there is a dataset for it
    dataset = work.dataset(intake, asked.new(), id=once.id("ds")).id

    def train(id: str | None) -> Job:
        return work.train(dataset=dataset, model=model, recipe=recipe, priority=priority, metadata={}, id=id)

    return once.make("job", services.jobs.get, train)
