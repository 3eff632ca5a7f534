"""What the command line asks for: a source of pictures, and a recipe."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from graft.errors import InvalidInput

SOURCES = "FOLDER|ARCHIVE|DATASET"
Source = Annotated[
    str, typer.Argument(metavar=SOURCES, help="Labelled pictures to upload, or a dataset's id.", show_default=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Any field of the recipe, such as hidden_units=[128] or early_stopping.patience=5. Repeat it.",
    ),
]
TimeBudget = Annotated[
    int | None, typer.Option("--time-budget", metavar="SECONDS", help="How long the training may take.")
]


def recipe(fields: list[str] | None, **options: object) -> dict[str, Any] | None:
    """A recipe request of --set and other options; None where neither is given: the service's own choice.

    A value that is no JSON is a word; a dot in a field's name leads into an object.
    """
    asked: dict[str, Any] = {}
    for each in fields or ():
        field, found, value = each.partition("=")
        if not found or not field:
            raise InvalidInput(f"--set takes FIELD=VALUE, such as epochs=5; received {each}.")
        *outer, last = field.split(".")
        inner: Any = asked
        for name in outer:
            inner = inner.setdefault(name, {}) if isinstance(inner, dict) else inner
        if not isinstance(inner, dict) or last in inner:
            raise InvalidInput(f"A field of the recipe is given once; received {field} twice. Keep one --set of it.")
        inner[last] = _value(value)
    for option, given in options.items():
        if given is None:
            continue
        if option in asked:
            raise InvalidInput(
                f"A field of the recipe is given once; received {_name(option)} and --set {option}=…. "
                "Leave one of them out."
            )
        asked[option] = given
    return asked or None


def dataset_id(source: str, upload_options: dict[str, Any]) -> str | None:
    """The source, where it is a dataset's id; None for a folder or an archive."""
    if Path(source).exists() or not source.startswith("ds_"):
        return None
    given = [_name(option) for option, value in upload_options.items() if value is not None]
    if given:
        raise InvalidInput(f"A dataset keeps its name and its splits; received {', '.join(given)} for {source}.")
    return source


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text


def _name(option: str) -> str:
    return f"--{option.replace('_', '-')}"
