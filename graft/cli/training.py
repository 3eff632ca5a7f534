"""Commands about jobs: train, watch, list, cancel."""

import json as jsons
from pathlib import Path
from typing import Annotated, Any

import typer

from graft.cli import curl as curls
from graft.cli.ending import asking
from graft.cli.following import accuracy, conclude, follow, goes_on, leaving, pictures, send, settle
from graft.cli.options import (
    URL,
    Boxes,
    Curl,
    Json,
    Key,
    Limit,
    Name,
    SplitSeed,
    TestSplit,
    Url,
    ValidationSplit,
    Wait,
)
from graft.cli.proposals import proposal
from graft.cli.terminal import Bars, instant, line, show_fields, show_json, show_list, show_one
from graft.client import Job, calls
from graft.client.request import Call
from graft.errors import InvalidInput

COLUMNS = ("JOB", "KIND", "STATE", "ABOUT", "PROGRESS", "CREATED")
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help="Any field of the recipe, such as hidden_units=[128]. Repeat it."
    ),
]


def train(
    source: Annotated[
        str,
        typer.Argument(metavar="FOLDER|ARCHIVE|DATASET", help="Labelled pictures to upload, or a dataset's id."),
    ],
    model: Annotated[str, typer.Option("--model", help="The model's name; its next version is trained.")],
    preset: Annotated[str | None, typer.Option("--preset", help="feature-extraction, fine-tuning, …")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="How many, unlike the preset.")] = None,
    set: Set = None,
    name: Name = None,
    validation_split: ValidationSplit = None,
    test_split: TestSplit = None,
    split_seed: SplitSeed = None,
    boxes: Boxes = None,
    wait: Wait = True,
    url: Url = URL,
    key: Key = None,
    json: Json = False,
    curl: Curl = False,
) -> None:
    """Train a model on a folder of pictures: upload it, watch the training, and say how good the model is."""
    with asking(url, key) as client, Bars() as bars:
        recipe = _recipe(preset, epochs, set or [])
        upload_options = {
            "name": name,
            "validation_split": validation_split,
            "test_split": test_split,
            "split_seed": split_seed,
            "boxes": boxes,
        }
        call = _call(source, model, recipe, upload_options, bars)
        if curl:
            line(f"{curls.assignment(curls.command(call, url, key))} &&")
            if wait:
                line(f"{curls.command(calls.live_events(curls.JOB), url, key)} &&")
            curls.end_with(calls.job(curls.JOB), url, key)
        job = send(client, call, bars)
        if wait:
            bars.say(f"{job.id}: watch it with {proposal(url, 'watch', job.id)}")
            with leaving(goes_on(job.id, url), bars):
                if call.body and job.dataset:
                    dataset = settle(client, job.dataset, bars, url)
                    bars.say(f"{dataset.id} is {dataset.state}{f': {pictures(dataset)}' if dataset.classes else '.'}")
                job = follow(client, job, bars)
    _end(job, url, wait=wait, json=json)


def watch(job: JobId, url: Url = URL, key: Key = None, json: Json = False, curl: Curl = False) -> None:
    """Watch a job until it ends. Ctrl-C leaves it running."""
    with asking(url, key) as client, Bars() as bars:
        if curl:
            curls.end_with(calls.live_events(job), url, key)
        found = client.job(job)
        with leaving(goes_on(found.id, url), bars):
            ended = follow(client, found, bars)
    _end(ended, url, wait=True, json=json)


def jobs(
    job: Annotated[str | None, typer.Argument(metavar="[ID]", help="One of them, with all that is known.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only those: queued, running, succeeded, …")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only those for this model.")] = None,
    limit: Limit = 20,
    url: Url = URL,
    key: Key = None,
    json: Json = False,
    curl: Curl = False,
) -> None:
    """List jobs, newest first, or show one."""
    with asking(url, key) as client:
        if curl:
            curls.end_with(calls.job(job) if job else calls.jobs(state=state, model=model, limit=limit), url, key)
        if job:
            show_one(client.job(job), _details, as_json=json)
        else:
            show_list(client.jobs(state=state, model=model), limit, COLUMNS, _row, as_json=json)


def cancel(job: JobId, url: Url = URL, key: Key = None, json: Json = False, curl: Curl = False) -> None:
    """Stop a job."""
    with asking(url, key) as client:
        call = calls.cancel(job)
        if curl:
            curls.end_with(call, url, key)
        stopped = client.ask(call)
    show_one(stopped, lambda job: line(f"{job.id} is {job.state}."), as_json=json)


def _recipe(preset: str | None, epochs: int | None, fields: list[str]) -> dict[str, Any] | None:
    """A recipe request; None for the service's own choice. A value that is no JSON is a word."""
    recipe: dict[str, Any] = {}
    for each in fields:
        field, found, value = each.partition("=")
        if not found or not field:
            raise InvalidInput(f"--set takes FIELD=VALUE, such as epochs=5; received {each}.")
        if field in recipe:
            raise InvalidInput(f"A field of the recipe is given once; received {field} twice. Keep one --set of it.")
        try:
            recipe[field] = jsons.loads(value, parse_constant=str)
        except ValueError:
            recipe[field] = value
    for option, given in {"preset": preset, "epochs": epochs}.items():
        if given is None:
            continue
        if option in recipe:
            raise InvalidInput(
                f"A field of the recipe is given once; received --{option} and --set {option}=…. Leave one of them out."
            )
        recipe[option] = given
    return recipe or None


def _call(source: str, model: str, recipe: dict[str, Any] | None, options: dict[str, Any], bars: Bars) -> Call[Job]:
    """Upload and training in one request, so that a wrong recipe is refused before a folder is sent; or training."""
    if Path(source).exists() or not source.startswith("ds_"):
        return calls.fine_tune(model, source, recipe, **options, on_progress=bars.uploaded)
    given = [f"--{option.replace('_', '-')}" for option, value in options.items() if value is not None]
    if given:
        raise InvalidInput(f"A dataset keeps its name and its splits; received {', '.join(given)} for {source}.")
    return calls.train(source, model, recipe)


def _end(job: Job, url: str, *, wait: bool, json: bool) -> None:
    if json:
        show_json(job)
    if wait:
        conclude(job, url, quiet=json)
    elif not json:
        line(f"{job.id} is {job.state}. Watch it: {proposal(url, 'watch', job.id)}")


def _row(job: Job) -> tuple[str, ...]:
    return job.id, job.kind, job.state, _about(job), _where(job), instant(job.created_at)


def _about(job: Job) -> str:
    if job.model is None:
        return job.dataset or ""
    return job.model if job.version is None else f"{job.model} version {job.version}"


def _where(job: Job) -> str:
    now = job.progress
    if job.finished or now.phase is None:
        return ""
    if now.epoch is not None:
        return f"{now.phase}, epoch {now.epoch} of {now.epochs}"
    return f"{now.phase}, {now.step} of {now.steps}" if now.step is not None else now.phase


def _details(job: Job) -> None:
    show_fields(
        id=job.id,
        kind=job.kind,
        state=job.state,
        model=job.model,
        version=job.version,
        dataset=job.dataset,
        revision=job.revision,
        recipe=", ".join(f"{field} {value}" for field, value in (job.recipe or {}).items() if value is not None)
        or None,
        progress=_where(job),
        measured=accuracy(job),
        error=job.error.message if job.error else None,
        created=instant(job.created_at),
        started=instant(job.started_at),
        finished=instant(job.finished_at),
    )
