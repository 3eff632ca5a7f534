"""Commands about models: ask them, list them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from graft.cli import curl as curls
from graft.cli.ending import asking
from graft.cli.options import URL, Curl, Json, Key, Limit, Timeout, Url
from graft.cli.terminal import instant, line, show_fields, show_list, show_one, show_table
from graft.client import Model, Prediction, calls
from graft.client.answers import Answer
from graft.client.bodies import utf8
from graft.client.pictures import Picture, batches

A = TypeVar("A", bound=Answer)
Pictures = Annotated[
    list[Path], typer.Argument(metavar="PICTURE…", exists=True, dir_okay=False, help="JPEG, PNG, WebP, GIF, BMP, TIFF.")
]


def predict(
    pictures: Pictures,
    model: Annotated[str, typer.Option("--model", help="Which model to ask.")] = "vgg16",
    top: Annotated[int, typer.Option("--top", min=1, max=1000, help="How many labels for each picture.")] = 5,
    version: Annotated[int | None, typer.Option("--version", min=1, help="A version; the stable one, else.")] = None,
    alias: Annotated[str | None, typer.Option("--alias", help="The version that an alias points at.")] = None,
    timeout: Timeout = None,
    url: Url = URL,
    key: Key = None,
    json: Json = False,
    curl: Curl = False,
) -> None:
    """Tell what is in pictures."""
    with asking(url, key) as client:
        if curl:
            for batch in batches(pictures):
                call = calls.predict(model, batch, top=top, version=version, alias=alias, timeout=timeout)
                line(curls.command(call, url, key))
            return
        answered: list[Prediction] = []
        try:
            for batch in batches(map(_named, pictures)):
                if answered:
                    version, alias = answered[0].version, None
                answered.append(client.predict(model, batch, top=top, version=version, alias=alias, timeout=timeout))
        finally:  # what came before a refusal is not lost
            if answered:
                entries = [entry for answer in answered for entry in answer.predictions]
                whole = answered[0].model_copy(update={"predictions": _as_given(entries, pictures)})
                show_one(whole, _show_prediction, as_json=json)


def embed(
    pictures: Pictures,
    layer: Annotated[str, typer.Option("--layer", help="A layer of the trunk.")] = "block5_pool",
    pooling: Annotated[str, typer.Option("--pooling", help="avg, max, or flatten.")] = "avg",
    timeout: Timeout = None,
    url: Url = URL,
    key: Key = None,
    _json: Annotated[bool, typer.Option("--json", help="As it is anyway.")] = False,
    curl: Curl = False,
) -> None:
    """Print the trunk's features of pictures, as JSON."""
    with asking(url, key) as client:
        if curl:
            for batch in batches(pictures):
                line(curls.command(calls.embed(batch, layer=layer, pooling=pooling, timeout=timeout), url, key))
            return
        answer = client.embed(map(_named, pictures), layer=layer, pooling=pooling, timeout=timeout)
    line(answer.model_copy(update={"embeddings": _as_given(answer.embeddings, pictures)}).model_dump_json())


def show(
    model: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them, with its versions.")] = None,
    limit: Limit = 100,
    url: Url = URL,
    key: Key = None,
    json: Json = False,
    curl: Curl = False,
) -> None:
    """List models, or show one."""
    with asking(url, key) as client:
        if curl:
            curls.end_with(calls.model(model) if model else calls.models(limit=limit), url, key)
        if model:
            show_one(client.model(model), _details, as_json=json)
        else:
            show_list(client.models(), limit, ("MODEL", "VERSIONS", "ALIASES"), _row, as_json=json)


def _named(path: Path) -> Picture:
    """By its path, as it was given: a refusal then names that."""
    return Picture(utf8(str(path)), Picture.of(path).data, path)


def _as_given(entries: Sequence[A], pictures: Sequence[Path]) -> list[A]:
    """Each under its path: a form cannot carry every name as it is. A refusal leaves fewer entries than pictures."""
    return [
        entry.model_copy(update={"filename": str(picture)}) for entry, picture in zip(entries, pictures, strict=False)
    ]


def _show_prediction(answer: Prediction) -> None:
    rows = [
        (entry.filename or "", guess.label, f"{guess.probability:.4f}")
        for entry in answer.predictions
        for guess in entry.top
    ]
    show_table(("PICTURE", "LABEL", "PROBABILITY"), rows)


def _row(model: Model) -> tuple[str, ...]:
    return model.name, str(len(model.versions)), _aliases(model)


def _details(model: Model) -> None:
    show_fields(name=model.name, aliases=_aliases(model))
    rows = [
        (
            str(each.version),
            each.status,
            *(_accuracy(each.metrics, split) for split in ("validation", "test")),
            instant(each.created_at),
        )
        for each in model.versions
    ]
    line("")
    show_table(("VERSION", "STATUS", "VALIDATION", "TEST", "CREATED"), rows)
    for each in model.versions:
        if each.problem:
            line(f"\nVersion {each.version} is {each.status}: {each.problem}")


def _aliases(model: Model) -> str:
    return ", ".join(f"{alias} {version}" for alias, version in model.aliases.items())


def _accuracy(metrics: dict[str, object] | None, split: str) -> str:
    found = (metrics or {}).get(split)
    return f"{found['accuracy']:.3f}" if isinstance(found, dict) and "accuracy" in found else ""
