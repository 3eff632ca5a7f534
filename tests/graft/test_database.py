import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, func, insert, inspect, select, update

from graft.database import connect, derived_id, migrate, new_id, now_ms, reading
from graft.tables import aliases, metadata


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    migrate(engine)
    yield engine
    engine.dispose()


def test_the_migrated_schema_is_the_tables_in_code(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        assert set(inspector.get_table_names()) == {*metadata.tables, "alembic_version"}
        for table in metadata.sorted_tables:
            # Alembic compares neither primary keys nor what a foreign key does on delete.
            key = inspector.get_pk_constraint(table.name)
            assert key["constrained_columns"] == [column.name for column in table.primary_key]
            on_delete = {inspected["options"].get("ondelete") for inspected in inspector.get_foreign_keys(table.name)}
            assert on_delete == {foreign.ondelete for foreign in table.foreign_keys}
            nullable = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
            assert nullable == {column.name: column.nullable for column in table.columns}


def test_processes_that_migrate_at_once_do_not_disturb_each_other(database_url: str) -> None:
    code = "import sys; from graft.database import *; sys.stdin.read(); migrate(connect(sys.argv[1])); print('done')"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:  # they wait for the end of their input, so that they start together
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    assert [process.communicate()[0] for process in processes] == [b"done\n"] * 3
    engine = connect(database_url)
    assert set(metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()


def test_now_is_epoch_milliseconds_and_moves_on(engine: Engine) -> None:
    with engine.connect() as connection:
        before = time.time_ns() // 1_000_000
        now = connection.scalar(select(now_ms))
        assert isinstance(now, int)
        assert abs(now - before) < 60_000
        while connection.scalar(select(now_ms)) == now:
            pass


def test_transactions_that_read_and_then_write_wait_for_each_other(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(aliases).values(model="m", alias="a", version=0))

    def count() -> None:
        for _ in range(50):
            with engine.begin() as connection:
                query = select(aliases.c.version).with_for_update()
                seen = connection.scalar(query)
                connection.execute(update(aliases).values(version=(seen or 0) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        assert connection.scalar(select(aliases.c.version)) == 200


def test_a_reader_does_not_wait_for_a_writer(engine: Engine) -> None:
    count = select(func.count()).select_from(aliases)
    with engine.begin() as writer:
        writer.execute(insert(aliases).values(model="m", alias="a", version=1))
        with reading(engine) as reader:
            assert reader.scalar(count) == 0
    with reading(engine) as reader:
        assert reader.scalar(count) == 1


def test_ids_are_short_lower_case_and_never_the_same() -> None:
    ids = {new_id("job") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"job_[a-z2-7]{16}", each) for each in ids)


def test_an_id_can_be_derived() -> None:
    digest = "00112233445566778899" + "ab" * 22
    assert derived_id("job", digest) == "job_aaisem2ekvthpcez"
    assert re.fullmatch(r"ds_[a-z2-7]{16}", derived_id("ds", digest))
    assert derived_id("job", "ff" + digest[2:]) != derived_id("job", digest)
