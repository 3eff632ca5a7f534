"""Commands about jobs: train, plan, watch, list, cancel."""

from functools import partial
from typing import Annotated, Any, NoReturn

import typer

from graft.cli import curl as curls
from graft.cli.asked import Set, Source, TimeBudget, dataset_id, recipe
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
from graft.cli.plans import fields
from graft.cli.proposals import proposal
from graft.cli.terminal import Bars, instant, line, show_fields, show_json, show_list, show_one
from graft.client import Client, Job, calls
from graft.client.request import Call

COLUMNS = ("JOB", "KIND", "STATE", "ABOUT", "PROGRESS", "CREATED")
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]


def train(
    source: Source,
    model: Annotated[str, typer.Option("--model", help="The model's name; its next version is trained.")],
    preset: Annotated[str | None, typer.Option("--preset", help="auto, feature-extraction or fine-tuning.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="How many, unlike the preset.")] = None,
    time_budget: TimeBudget = None,
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
        asked = recipe(set, preset=preset, epochs=epochs, time_budget=time_budget)
        options = _upload_options(name, validation_split, test_split, split_seed, boxes)
        call = _call(source, model, asked, options, bars)
        if curl:
            _print_lines(call, url, key, wait=wait)
        job = send(client, call, bars)
        if wait:
            job = _followed(client, job, bars, url, uploaded=bool(call.body))
    _end(job, url, wait=wait, json=json)


def plan(
    source: Source,
    time_budget: TimeBudget = None,
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
    """Say which layers are worth training on these pictures, why, and how long that would take."""
    with asking(url, key) as client, Bars() as bars:
        asked = recipe(set, time_budget=time_budget)
        options = _upload_options(name, validation_split, test_split, split_seed, boxes)
        known = dataset_id(source, options)
        upload = partial(calls.upload, source, **options, on_progress=bars.uploaded)
        if curl:
            if not known:
                line(f"{curls.assignment(curls.command(upload(), url, key), curls.DATASET)} &&")
            _print_lines(calls.plan(known or curls.DATASET, asked), url, key, wait=wait)
        job = client.plan(known or send(client, upload(), bars), asked)
        if wait:
            job = _followed(client, job, bars, url, uploaded=not known)
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


def _upload_options(
    name: str | None,
    validation_split: float | None,
    test_split: float | None,
    split_seed: int | None,
    boxes: str | None,
) -> dict[str, Any]:
    return {
        "name": name,
        "validation_split": validation_split,
        "test_split": test_split,
        "split_seed": split_seed,
        "boxes": boxes,
    }


def _print_lines(call: Call[Job], url: str, key: str | None, *, wait: bool) -> NoReturn:
    """The lines of curl that ask for a job, follow it, and show it; then the program ends."""
    line(f"{curls.assignment(curls.command(call, url, key))} &&")
    if wait:
        line(f"{curls.command(calls.live_events(curls.JOB), url, key)} &&")
    curls.end_with(calls.job(curls.JOB), url, key)


def _followed(client: Client, job: Job, bars: Bars, url: str, *, uploaded: bool) -> Job:
    """The job once it has ended; of a dataset that was uploaded for it, what was found there is said, too."""
    bars.say(f"{job.id}: watch it with {proposal(url, 'watch', job.id)}")
    with leaving(goes_on(job.id, url), bars):
        if uploaded and job.dataset:
            dataset = settle(client, job.dataset, bars, url)
            bars.say(f"{dataset.id} is {dataset.state}{f': {pictures(dataset)}' if dataset.classes else '.'}")
        return follow(client, job, bars)


def _call(source: str, model: str, recipe: dict[str, Any] | None, options: dict[str, Any], bars: Bars) -> Call[Job]:
    """Upload and training in one request, so that a wrong recipe is refused before a folder is sent; or training."""
    if dataset := dataset_id(source, options):
        return calls.train(dataset, model, recipe)
    return calls.fine_tune(model, source, recipe, **options, on_progress=bars.uploaded)


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
        recipe=fields(job.recipe),
        progress=_where(job),
        measured=accuracy(job),
        error=job.error.message if job.error else None,
        created=instant(job.created_at),
        started=instant(job.started_at),
        finished=instant(job.finished_at),
    )
