"""The command `graft`: the service's own commands, and those that speak to a service over HTTP, by graft.client."""

from importlib.metadata import version
from typing import Annotated

import typer

from graft.cli import datasets, models, service, training
from graft.cli.ending import EPILOG
from graft.cli.terminal import line

app = typer.Typer(
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
weights = typer.Typer(help="VGG16's ImageNet weights.", no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        line(f"graft {version('graft')}")
        raise typer.Exit


@app.callback()
def _graft(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Serve VGG16 and train new classifiers on its frozen trunk.

    The service reads its settings from GRAFT_* environment variables.
    """


SERVICE, PICTURES, JOBS, MODELS = "The service", "Pictures", "Training", "Models"

app.command(rich_help_panel=SERVICE)(service.up)
app.command(rich_help_panel=SERVICE)(service.api)
app.command(rich_help_panel=SERVICE)(service.worker)
app.add_typer(weights, name="weights", rich_help_panel=SERVICE)
weights.command()(service.fetch)

app.command(rich_help_panel=PICTURES)(datasets.upload)
app.command("datasets", rich_help_panel=PICTURES)(datasets.show)
app.command(rich_help_panel=PICTURES)(datasets.delete)

app.command(rich_help_panel=JOBS)(training.train)
app.command(rich_help_panel=JOBS)(training.plan)
app.command(rich_help_panel=JOBS)(training.watch)
app.command(rich_help_panel=JOBS)(training.jobs)
app.command(rich_help_panel=JOBS)(training.cancel)

app.command(rich_help_panel=MODELS)(models.predict)
app.command(rich_help_panel=MODELS)(models.embed)
app.command("models", rich_help_panel=MODELS)(models.show)
