"""The composition root of the service's commands: settings from GRAFT_* variables, or a sentence on what is wrong."""

import logging
import signal
import sqlite3
import sys
from math import ceil
from tempfile import TemporaryFile

import typer
import uvicorn
from alembic.util import CommandError
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from graft.cli.ending import fail
from graft.cli.terminal import DownloadBars, line
from graft.database import connect, migrate
from graft.errors import GraftError
from graft.settings import Settings
from graft.stores import open_weights


def run_api(settings: Settings, log_level: str) -> None:
    """The HTTP server, until it is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # uvicorn raises the signal that stopped it once more, at its very end. That end is a success.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    # By name, as the library must not import the app. Without the access log: clients ask for a job's progress often.
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_level=log_level,
        access_log=False,
        server_header=False,
        # What was accepted has its whole deadline; with the drain before it, that is inside the supervisor's grace.
        timeout_graceful_shutdown=ceil(settings.predict_timeout_seconds) + 2,
    )


def fetch_weights() -> bool:
    """Whether the trunk is there; both parts are looked for."""
    store = open_weights(_settings())
    try:
        with DownloadBars() as bars:
            trunk, classifier = store.fetch(bars)
    except (GraftError, OSError) as error:
        fail(str(error))
    for outcome in (trunk, classifier):
        line(f"{outcome.part}: {outcome.text}")
    return trunk.found


def _settings() -> Settings:
    """The settings, or the end of the program with a sentence for each that breaks a rule."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            cause = problem.get("ctx", {}).get("error")
            if cause:  # a rule of our own, which names the setting
                typer.echo(str(cause), err=True)
            else:
                name = "_".join(["GRAFT", *(str(part).upper() for part in problem["loc"])])
                typer.echo(f"{name} is wrong: {problem['msg']}; received {problem['input']!r}.", err=True)
        raise typer.Exit(1) from None


def usable_settings() -> Settings:
    """The settings, with a home folder to write to and a database that is up to date; or the end of the program."""
    settings = _settings()
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=settings.home):
            pass
    except OSError as error:
        fail(
            f"GRAFT_HOME must be a folder that can be made and written to; received {settings.home}: {error.strerror}."
        )
    engine = None
    try:
        engine = connect(settings.sqlalchemy_url)
        migrate(engine)
    except (SQLAlchemyError, sqlite3.Error, CommandError, OSError) as error:
        variable = "GRAFT_DATABASE_URL" if settings.database_url else "GRAFT_HOME"
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = " ".join(str(cause).split())
        fail(f"{variable} must lead to a database that can be used; {settings.sqlalchemy_url} cannot: {reason}")
    finally:
        if engine:
            engine.dispose()
    return settings
