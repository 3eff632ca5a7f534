"""The SQL database: SQLite (one file, local disks only) or PostgreSQL.

Write inside `engine.begin()`, read inside `reading(engine)`. On SQLite a writing transaction starts with
BEGIN IMMEDIATE: one that began as a reader and then wrote could fail with "database is locked" without a wait.
"""

import base64
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from filelock import FileLock
from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    Table,
    create_engine,
    event,
    make_url,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from graft.errors import InvalidInput

MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_SECONDS = 30  # how long SQLite waits for another process's write
CONNECT_SECONDS = "5"  # how long PostgreSQL's host may take to answer; text, as it stands in an address
_MIGRATION_LOCK = 0x67726166  # PostgreSQL's advisory locks are numbers; this one spells "graf"


def connect(address: str | URL) -> Engine:
    """An engine for an SQLAlchemy address; the folder of an SQLite file is made. Nothing is read or written yet."""
    url = make_url(address)
    if url.get_backend_name() != "sqlite":
        # Without a limit of its own a host that swallows packets would be waited for as long as TCP does, minutes.
        return create_engine(url.set(query={"connect_timeout": CONNECT_SECONDS, **url.query}), pool_pre_ping=True)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions behind our back
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    reading_only = connection.get_execution_options().get("graft_reading", False)
    connection.exec_driver_sql("BEGIN" if reading_only else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for SELECTs, which waits for no writer."""
    with engine.connect() as connection:
        yield connection.execution_options(graft_reading=True)


def newest_first(
    connection: Connection, query: Select[Any], table: Table, what: str, *, limit: int, after: str | None
) -> tuple[Sequence[RowMapping], bool]:
    """A page of the query's rows by creation, of those older than the row whose id is `after`; and whether more follow.

    `table` has the columns `id` and `created_at`. Raises InvalidInput for an `after` that is the id of no `what`.
    """
    place = tuple_(table.c.created_at, table.c.id)
    if after is not None:
        last = connection.execute(select(table.c.created_at, table.c.id).where(table.c.id == after)).one_or_none()
        if last is None:
            raise InvalidInput(
                f"`after` must be the id of a {what}, the last one of the page before; received {after!r}."
            )
        query = query.where(place < tuple(last))
    query = query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit + 1)
    rows = connection.execute(query).mappings().all()
    return rows[:limit], len(rows) > limit


def migrate(engine: Engine) -> None:
    """Bring the schema to its newest revision. Several processes may call it at once: one does it, the others wait."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if engine.dialect.name == "sqlite":
        _use_write_ahead_log(engine)
    with engine.begin() as connection:  # on SQLite this alone keeps the other processes out
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _use_write_ahead_log(engine: Engine) -> None:
    """Readers then never wait for a writer. The file remembers it.

    Two processes that switch at once can meet "database is locked" without a wait, so a file lock keeps them apart.
    """
    with FileLock(f"{engine.url.database}.lock"):
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()


class _Now(ColumnElement[int]):
    """Epoch milliseconds by the database's clock, so that machines with clocks apart agree about leases."""

    inherit_cache = True
    type = BigInteger()


@compiles(_Now, "sqlite")
def _now_on_sqlite(_element: _Now, _compiler: SQLCompiler, **_options: Any) -> str:
    # julianday counts days from noon, 2440587.5 of them before 1970; its double is good to 0.04 ms.
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"


@compiles(_Now, "postgresql")
def _now_on_postgresql(_element: _Now, _compiler: SQLCompiler, **_options: Any) -> str:
    # Not now(): that one stands still inside a transaction.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


now_ms: Final[ColumnElement[int]] = _Now()


def new_id(prefix: str) -> str:
    """`prefix_` and 16 random characters of a-z and 2-7 (80 bits)."""
    return _spelled(prefix, secrets.token_bytes(10))


def derived_id(prefix: str, digest: str) -> str:
    """An id like those of new_id, and always the same one for a digest in hex."""
    return _spelled(prefix, bytes.fromhex(digest)[:10])


def _spelled(prefix: str, bits: bytes) -> str:
    return f"{prefix}_{base64.b32encode(bits).decode().lower()}"
