"""How a command ends: one sentence on stderr, and a number that scripts can use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from graft.client import ApiError, Client, Unreachable
from graft.errors import GraftError

FAILED = 1  # the job failed or was cancelled, the dataset was rejected; for the service's own commands, anything
USAGE = 2  # the command line, or a file that it names; typer's own
AWAY = 3  # nothing answers, or the service cannot do it now (429, 5xx)
REFUSED = 4  # the service refuses (4xx)
NOT_FOUND = 5  # there is no such model, dataset or job (404)
INTERRUPTED = 130  # Ctrl-C

EPILOG = (
    "Exit codes: 0 done; 1 the job failed or was cancelled, or the dataset was rejected; 2 a wrong command line, or "
    "a file that cannot be sent; 3 the service does not answer, or cannot do it now; 4 the service refuses; "
    "5 there is no such thing; 130 interrupted."
)


def fail(sentence: str, code: int = FAILED) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


@contextmanager
def asking(url: str, key: str | None) -> Iterator[Client]:
    """A client whose errors end the program, each with its sentence and its code."""
    try:
        with Client(url, key) as client:
            yield client
    except ApiError as error:
        fail(error.detail, _of_status(error.status))
    except Unreachable as error:
        fail(f"{error} Start it (make up), or name another --url.", AWAY)
    except GraftError as error:
        fail(str(error), USAGE)
    except UnicodeEncodeError as error:
        fail(f"Names must be UTF-8; received {error.object!r}.", USAGE)
    except KeyboardInterrupt:
        fail("Interrupted.", INTERRUPTED)


def _of_status(status: int) -> int:
    if status == 404:
        return NOT_FOUND
    return AWAY if status == 429 or status >= 500 else REFUSED
