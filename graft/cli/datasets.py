"""Commands about pictures: upload them, see what is there, delete."""

from typing import Annotated

import typer

from graft.cli import curl as curls
from graft.cli.ending import asking, fail
from graft.cli.following import findings, leaving, pictures, send, settle
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
from graft.cli.terminal import Bars, instant, line, show_fields, show_json, show_list, show_one, show_table
from graft.client import Dataset, calls

COLUMNS = ("DATASET", "NAME", "STATE", "HOLDS", "CREATED")


def upload(
    source: Annotated[str, typer.Argument(metavar="FOLDER|ARCHIVE", help="A folder, or a .zip, .tar, .tar.gz, .tgz.")],
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
    """Upload labelled pictures: a folder for each class, on its own or inside train/, validation/ and test/."""
    with asking(url, key) as client, Bars() as bars:
        call = calls.upload(
            source,
            name=name,
            validation_split=validation_split,
            test_split=test_split,
            split_seed=split_seed,
            boxes=boxes,
            on_progress=bars.uploaded,
        )
        if curl:
            curls.end_with(call, url, key)
        dataset = send(client, call, bars)
        if wait:
            seen = proposal(url, "datasets", dataset.id)
            with leaving(f"{dataset.id} is still looked at. See what becomes of it: {seen}", bars):
                dataset = settle(client, dataset.id, bars, url)
    if json:
        show_json(dataset)
    if dataset.state == "rejected":
        fail(f"{dataset.id} was rejected. Correct it and upload it again.")
    if not json:
        _conclude(dataset, url)


def _conclude(dataset: Dataset, url: str) -> None:
    if dataset.state == "ready":
        line(f"{dataset.id} is ready: {pictures(dataset)}")
        line(f"Try: {proposal(url, 'train', dataset.id)} --model NAME")
    else:
        line(f"{dataset.id} is {dataset.state}. See what becomes of it: {proposal(url, 'datasets', dataset.id)}")


def show(
    dataset: Annotated[str | None, typer.Argument(metavar="[ID]", help="One of them, with all that was found.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only those: open, validating, ready, rejected.")] = None,
    limit: Limit = 20,
    url: Url = URL,
    key: Key = None,
    json: Json = False,
    curl: Curl = False,
) -> None:
    """List datasets, newest first, or show one."""
    with asking(url, key) as client:
        if curl:
            curls.end_with(calls.dataset(dataset) if dataset else calls.datasets(state=state, limit=limit), url, key)
        if dataset:
            show_one(client.dataset(dataset), _details, as_json=json)
        else:
            show_list(client.datasets(state=state), limit, COLUMNS, _row, as_json=json)


def _row(dataset: Dataset) -> tuple[str, ...]:
    return dataset.id, dataset.name, dataset.state, pictures(dataset), instant(dataset.created_at)


def _details(dataset: Dataset) -> None:
    show_fields(
        id=dataset.id,
        name=dataset.name,
        state=dataset.state,
        revision=dataset.revision,
        created=instant(dataset.created_at),
    )
    if dataset.counts:
        splits = list(dataset.counts)
        names = dataset.classes or sorted({name for counts in dataset.counts.values() for name in counts})
        rows = [(name, *(str(dataset.counts[split].get(name, 0)) for split in splits)) for name in names]
        line("")
        show_table(("CLASS", *(split.upper() for split in splits)), rows)
    for sentence in findings(dataset):
        line(sentence)


def delete(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Its id.")],
    url: Url = URL,
    key: Key = None,
    json: Json = False,
    curl: Curl = False,
) -> None:
    """Delete a dataset and its files."""
    with asking(url, key) as client:
        call = calls.delete_dataset(dataset)
        if curl:
            curls.end_with(call, url, key)
        client.ask(call)
    if json:
        show_json({})
    else:
        line(f"{dataset} is deleted.")
