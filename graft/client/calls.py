"""Every call of the HTTP API, once: which request it is, and what its answer becomes. Nothing here speaks."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from graft.client.answers import (
    Dataset,
    Embeddings,
    Event,
    Job,
    Model,
    Page,
    Prediction,
    Predictions,
)
from graft.client.bodies import Body, Source, open_body
from graft.client.pictures import Picture, Pictures, no_pictures, opened
from graft.client.request import Call, OnProgress
from graft.errors import InvalidInput

A = TypeVar("A", bound=BaseModel)

Recipe = str | Mapping[str, Any]  # a preset's name, or fields


def upload(
    source: Source,
    *,
    name: str | None = None,
    validation_split: float | None = None,
    test_split: float | None = None,
    split_seed: int | None = None,
    boxes: str | None = None,
    on_progress: OnProgress | None = None,
) -> Call[Dataset]:
    """Upload a folder or an archive as a new dataset; the service then looks at every picture.

    The fractions are used only for splits that the folder lacks. Raises InvalidInput for a source without files.
    """
    body = open_body(source)
    query = _given(
        name=name or body.name,
        validation_split=validation_split,
        test_split=test_split,
        split_seed=split_seed,
        boxes=boxes,
    )
    return _sending("/datasets", body, query, Dataset, on_progress)


def open_dataset(
    name: str,
    *,
    validation_split: float | None = None,
    test_split: float | None = None,
    split_seed: int | None = None,
) -> Call[Dataset]:
    """Open a dataset that is filled by `add_files` and sealed by `commit`."""
    fields = _given(name=name, validation_split=validation_split, test_split=test_split, split_seed=split_seed)
    return Call("POST", "/datasets", _answer(Dataset), json=fields, creates=True)


def add_files(dataset: Dataset | str, source: Source, *, on_progress: OnProgress | None = None) -> Call[Dataset]:
    """Add a folder or an archive to a dataset, all of it or nothing; on a ready one this opens its next revision."""
    body = open_body(source)
    return _sending(_path("datasets", _id(dataset), "files"), body, {}, Dataset, on_progress)


def commit(dataset: Dataset | str) -> Call[Dataset]:
    """Seal an open dataset; the service then looks at every picture."""
    return Call("POST", _path("datasets", _id(dataset), "commit"), _answer(Dataset))


def dataset(dataset: Dataset | str) -> Call[Dataset]:
    """What a dataset holds, and what was left out."""
    return Call("GET", _path("datasets", _id(dataset)), _answer(Dataset))


def datasets(
    *, state: str | None = None, name: str | None = None, limit: int = 50, after: str | None = None
) -> Call[Page[Dataset]]:
    """A page of datasets, newest first."""
    return Call("GET", "/datasets", _answer(Page[Dataset]), _given(state=state, name=name, limit=limit, after=after))


def delete_dataset(dataset: Dataset | str) -> Call[None]:
    """Delete a dataset and its files."""
    return Call("DELETE", _path("datasets", _id(dataset)), _nothing)


def train(
    dataset: Dataset | str,
    model: str,
    recipe: Recipe | None = None,
    *,
    priority: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Call[Job]:
    """Train a model on a dataset. `recipe`: a preset's name, or fields such as {"preset": "fine-tuning", "epochs": 5}.

    The job keeps to the dataset's revision of this moment; on a dataset that is still validating it waits for that.
    """
    fields = _given(dataset=_id(dataset), model=model, recipe=recipe, priority=priority, metadata=metadata)
    return Call("POST", "/jobs", _answer(Job), json=fields, creates=True)


def plan(dataset: Dataset | str, recipe: Mapping[str, Any] | None = None) -> Call[Job]:
    """Plan a training: the job's `result` says which layers to train, why, and how long each choice would take.

    `recipe`: what is fixed beforehand, such as {"time_budget": 600}; the preset is auto.
    """
    return Call("POST", _path("datasets", _id(dataset), "plan"), _answer(Job), json=recipe or {}, creates=True)


def fine_tune(
    model: str,
    source: Source,
    recipe: Recipe | None = None,
    *,
    name: str | None = None,
    validation_split: float | None = None,
    test_split: float | None = None,
    split_seed: int | None = None,
    boxes: str | None = None,
    on_progress: OnProgress | None = None,
) -> Call[Job]:
    """Upload a folder or an archive and train a model on it, in one request; the job names its dataset."""
    body = open_body(source)
    fields = {"preset": recipe} if isinstance(recipe, str) else recipe
    query = _given(
        name=name or body.name,
        validation_split=validation_split,
        test_split=test_split,
        split_seed=split_seed,
        boxes=boxes,
        recipe=json.dumps(fields) if fields else None,
    )
    return _sending(_path("models", model, "fine-tune"), body, query, Job, on_progress)


def job(job: Job | str) -> Call[Job]:
    """How a job is getting on."""
    return Call("GET", _path("jobs", _id(job)), _answer(Job))


def jobs(
    *,
    state: str | None = None,
    kind: str | None = None,
    model: str | None = None,
    dataset: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Call[Page[Job]]:
    """A page of jobs, newest first."""
    query = _given(state=state, kind=kind, model=model, dataset=dataset, limit=limit, after=after)
    return Call("GET", "/jobs", _answer(Page[Job]), query)


def cancel(job: Job | str) -> Call[Job]:
    """Stop a job. A running one is `cancelling` until its process has left."""
    return Call("POST", _path("jobs", _id(job), "cancel"), _answer(Job))


def events(job: Job | str, *, after: int = 0, limit: int = 100) -> Call[Page[Event]]:
    """A page of what happened to a job, oldest first."""
    return Call("GET", _path("jobs", _id(job), "events"), _answer(Page[Event]), {"after": after, "limit": limit})


def live_events(job: Job | str) -> Call[None]:
    """The same as it happens."""
    return Call("GET", _path("jobs", _id(job), "events"), _nothing, accept="text/event-stream")


def predict(
    model: str,
    pictures: Pictures,
    *,
    top: int = 5,
    version: int | None = None,
    alias: str | None = None,
    timeout: float | None = None,
) -> Call[Prediction]:
    """What is in these pictures, as many as the service takes in one request."""
    if version is not None and alias is not None:
        raise InvalidInput(f"A prediction takes a version or an alias; received version {version} and alias {alias}.")
    chosen: tuple[str, ...] = ()
    if version is not None:
        chosen = ("versions", str(version))
    elif alias is not None:
        chosen = ("aliases", alias)
    path = _path("models", model, *chosen, "predict")
    return Call("POST", path, _answer(Prediction), {"top": top}, pictures=_pictures(pictures), deadline=timeout)


def predict_many(
    models: Sequence[str], pictures: Pictures, *, top: int = 5, timeout: float | None = None
) -> Call[Predictions]:
    """The same pictures asked of many models. `timeout`: seconds after which the service shall give it up."""
    query = _given(models=",".join(models), top=top)
    return Call("POST", "/predict", _answer(Predictions), query, pictures=_pictures(pictures), deadline=timeout)


def embed(
    pictures: Pictures, *, layer: str = "block5_pool", pooling: str = "avg", timeout: float | None = None
) -> Call[Embeddings]:
    """The trunk's features at a layer, for each picture."""
    query = {"layer": layer, "pooling": pooling}
    return Call("POST", "/embed", _answer(Embeddings), query, pictures=_pictures(pictures), deadline=timeout)


def models(*, limit: int = 50, after: str | None = None) -> Call[Page[Model]]:
    """A page of models by name, `vgg16` among them."""
    return Call("GET", "/models", _answer(Page[Model]), _given(limit=limit, after=after))


def model(model: Model | str) -> Call[Model]:
    """A model's versions and aliases."""
    return Call("GET", _path("models", _name(model)), _answer(Model))


def delete_model(model: Model | str, version: int | None = None) -> Call[None]:
    """Delete a version of a model, or all of it."""
    chosen = () if version is None else ("versions", str(version))
    return Call("DELETE", _path("models", _name(model), *chosen), _nothing)


def set_alias(model: Model | str, alias: str, version: int) -> Call[Model]:
    """Point an alias at a version; `stable` follows the newest one until it is set."""
    return Call("PUT", _path("models", _name(model), "aliases", alias), _answer(Model), json={"version": version})


def delete_alias(model: Model | str, alias: str) -> Call[None]:
    """Take an alias away."""
    return Call("DELETE", _path("models", _name(model), "aliases", alias), _nothing)


def report(model: Model | str, version: int) -> Call[dict[str, Any]]:
    """A version's evaluation: history, loss, accuracy, precision, recall and F1 by class, confusion matrix."""
    return Call("GET", _path("models", _name(model), "versions", str(version), "report"), _object)


def _sending(
    path: str,
    body: Body,
    query: Mapping[str, str | int | float],
    answer: type[A],
    on_progress: OnProgress | None,
) -> Call[A]:
    # The service unpacks all of it before it answers.
    return Call("POST", path, _answer(answer), query, body=body, on_progress=on_progress, creates=True, timeout=1800.0)


def _pictures(sources: Pictures) -> tuple[Picture, ...]:
    found = tuple(opened(sources))
    if not found:
        raise no_pictures()
    return found


def _id(thing: Dataset | Job | str) -> str:
    return thing if isinstance(thing, str) else thing.id


def _name(model: Model | str) -> str:
    return model if isinstance(model, str) else model.name


def _path(*segments: str) -> str:
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _answer(answer: type[A]) -> Callable[[httpx.Response], A]:
    return lambda response: answer.model_validate_json(response.content)


def _object(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = response.json()
    return found


def _nothing(_response: httpx.Response) -> None: ...
