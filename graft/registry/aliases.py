"""The aliases of a model's versions: a row in SQL for each that somebody has set."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, delete, insert, select

from graft.errors import Conflict
from graft.registry.missing import listed, no_alias
from graft.tables import aliases, model_versions


@contextmanager
def locked(engine: Engine, model: str) -> Iterator[Connection]:
    """A write transaction that no other one of the model runs beside, so that aliases and folders change together.

    SQLite has one writer at a time; PostgreSQL locks the rows of the model's reservations.
    """
    with engine.begin() as connection:
        rows = select(model_versions.c.version).where(model_versions.c.model == model)
        connection.execute(rows.with_for_update()).all()
        yield connection


def read(connection: Connection, model: str) -> dict[str, int]:
    """Alias -> the version that it was set to."""
    rows = connection.execute(select(aliases.c.alias, aliases.c.version).where(aliases.c.model == model))
    return {row.alias: row.version for row in rows}


def point(connection: Connection, model: str, alias: str, version: int) -> None:
    connection.execute(delete(aliases).where(aliases.c.model == model, aliases.c.alias == alias))
    connection.execute(insert(aliases).values(model=model, alias=alias, version=version))


def remove(connection: Connection, model: str, alias: str) -> None:
    """Raises NotFound."""
    there = read(connection, model)
    if alias not in there:
        raise no_alias(model, alias, there)
    connection.execute(delete(aliases).where(aliases.c.model == model, aliases.c.alias == alias))


def remove_all(connection: Connection, model: str) -> None:
    connection.execute(delete(aliases).where(aliases.c.model == model))


def refuse_held(connection: Connection, model: str, version: int) -> None:
    """Raises Conflict for a version that an alias was set to."""
    held = sorted(alias for alias, at in read(connection, model).items() if at == version)
    if held:
        raise Conflict(
            f"A version that an alias was set to cannot be deleted; {listed(held)} of {model!r} points at version "
            f"{version}. Point the alias at another version first, or remove it."
        )
