"""Commands about models: ask them, list them."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from graft.cli import curl as curls
from graft.cli.ending import asking
from graft.cli.options import URL, Curl, Json, Key, Limit, Url
from graft.cli.terminal import instant, line, show_fields, show_json, show_table
from graft.client import Model, Prediction, calls
from graft.client.pictures import batches

Pictures = Annotated[
    list[Path], typer.Argument(metavar="PICTURE…", exists=True, dir_okay=False, help="JPEG, PNG, WebP, GIF, BMP, TIFF.")
]


def predict(
    pictures: Pictures,
    model: Annotated[str, typer.Option("--model", help="Which model to ask.")] = "vgg16",
    top: Annotated[int, typer.Option("--top", min=1, max=1000, help="How many labels for each picture.")] = 5,
    version: Annotated[int | None, typer.Option("--version", min=1, help="A version; the stable one, else.")] = None,
    alias: Annotated[str | None, typer.Option("--alias", help="The version that an alias points at.")] = None,
    url: Url = URL,
    key: Key = None,
    json: Json = False,
    curl: Curl = False,
) -> None:
    """Tell what is in pictures."""
    with asking(url, key) as client:
        if curl:
            for batch in batches(pictures):
                line(curls.line(calls.predict(model, batch, top=top, version=version, alias=alias), url, key))
            return
        answer = client.predict(model, pictures, top=top, version=version, alias=alias)
    if json:
        show_json(answer)
    else:
        _show_prediction(pictures, answer)


def embed(
    pictures: Pictures,
    layer: Annotated[str, typer.Option("--layer", help="A layer of the trunk.")] = "block5_pool",
    pooling: Annotated[str, typer.Option("--pooling", help="avg, max, or flatten.")] = "avg",
    url: Url = URL,
    key: Key = None,
    curl: Curl = False,
) -> None:
    """Print the trunk's features of pictures, as JSON."""
    with asking(url, key) as client:
        if curl:
            line(curls.line(calls.embed(pictures, layer=layer, pooling=pooling), url, key))
        else:
            line(client.embed(pictures, layer=layer, pooling=pooling).model_dump_json())


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
            line(curls.line(calls.model(model) if model else calls.models(limit=limit), url, key))
        elif model is None:
            found = list(islice(client.models(), limit))
            if json:
                show_json(found)
            else:
                rows = [(each.name, str(len(each.versions)), _aliases(each)) for each in found]
                show_table(("MODEL", "VERSIONS", "ALIASES"), rows)
        else:
            one = client.model(model)
            if json:
                show_json(one)
            else:
                _show_one(one)


def _show_prediction(pictures: list[Path], answer: Prediction) -> None:
    rows = [
        (str(picture), guess.label, f"{guess.probability:.4f}")
        for picture, entry in zip(pictures, answer.predictions, strict=True)
        for guess in entry.top
    ]
    show_table(("PICTURE", "LABEL", "PROBABILITY"), rows)


def _show_one(model: Model) -> None:
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


def _aliases(model: Model) -> str:
    return ", ".join(f"{alias} {version}" for alias, version in model.aliases.items())


def _accuracy(metrics: dict[str, object] | None, split: str) -> str:
    found = (metrics or {}).get(split)
    return f"{found['accuracy']:.3f}" if isinstance(found, dict) and "accuracy" in found else ""
