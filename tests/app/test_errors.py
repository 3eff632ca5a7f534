"""Failures: each class has its status, each answer is a problem, and only the unforeseen leaves a traceback."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, create_engine, event

from app.errors import KINDS, kind_of
from graft import errors
from graft.database import connect
from graft.datasets import ArchiveLimits, Datasets
from graft.datasets.intake import Intake
from graft.jobs import Jobs
from graft.jobs.doorbell import TaskDoorbell
from graft.work import Work
from tests.app.conftest import Client, StartClient, check_problem

# These never leave a job process.
INSIDE = {errors.StaleFence, errors.Interrupted}
AS_THEIR_BASE = {errors.Truncated}  # told apart by the check of a dataset alone


def tree(root: type[errors.GraftError]) -> set[type[errors.GraftError]]:
    return {root, *(below for child in root.__subclasses__() for below in tree(child))}


def test_every_error_that_can_reach_a_route_has_a_row() -> None:
    every = {each for each in tree(errors.GraftError) if each.__module__ == "graft.errors"}
    assert set(KINDS) == every - INSIDE - AS_THEIR_BASE - {errors.GraftError}


def test_a_subclass_answers_as_its_base_does() -> None:
    class Odd(errors.NotFound):
        """Without a row of its own."""

    assert kind_of(Odd("…")) is KINDS[errors.NotFound]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nowhere", 404, ["/nowhere", "/docs"]),
        ("GET", "/api/v1/nowhere", 404, ["/api/v1/nowhere"]),
        ("GET", "/api/v1/jobs/", 404, ["/api/v1/jobs/"]),
        ("DELETE", "/api/v1/jobs", 405, ["GET", "POST", "DELETE"]),
        ("POST", "/health/live", 405, ["GET", "POST"]),
        ("GET", "/api/v1/models/signs/versions/first", 422, ["version", "first"]),
        ("GET", "/api/v1/models/signs/versions/99999999999", 422, ["version"]),
        ("GET", "/api/v1/jobs/%00", 422, ["job"]),
        ("GET", "/api/v1/datasets/..%2f..%2fetc", 404, ["etc"]),
    ],
)
def test_the_framework_s_own_refusals_are_problems(
    client: Client, method: str, path: str, status: int, words: list[str]
) -> None:
    answer = client.request(method, path)
    check_problem(answer, status, *words)
    assert ("Allow" in answer.headers) == (status == 405)


def test_a_foreseen_failure_leaves_no_traceback(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for method, path, body in (
        ("POST", "/api/v1/models/vgg16/predict", b"text"),
        ("POST", "/api/v1/models/nobody/predict", b"text"),
        ("POST", "/api/v1/datasets", b"PK\x03\x04 broken"),
        ("POST", "/api/v1/jobs", b'{"recipe": {"eposch": 1}}'),
    ):
        assert 400 <= client.request(method, path, content=body).status_code < 500
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


def crash(app: FastAPI) -> None:
    @app.get("/crash")
    def crash() -> None:
        raise ZeroDivisionError("the unforeseen")


def test_the_unforeseen_is_a_500_whose_traceback_is_in_the_log_under_its_id(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    crash(client.app)
    answer = client.get("/crash", headers={"X-Request-Id": "abc-1"})
    problem = check_problem(answer, 500, "abc-1")
    assert "unforeseen" not in answer.text
    assert problem["request_id"] == answer.headers["X-Request-Id"] == "abc-1"
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "abc-1" in record.getMessage()
    assert record.exc_info
    assert isinstance(record.exc_info[1], ZeroDivisionError)


@pytest.mark.parametrize("asked", [None, "a b", "x" * 65, "a\u00e9"])
def test_an_answer_has_an_id_of_its_own_unless_the_caller_names_a_plain_one(client: Client, asked: str | None) -> None:
    headers = {} if asked is None else {"X-Request-Id": asked.encode("latin-1")}
    ids = [client.get("/health/live", headers=headers).headers["X-Request-Id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert all(len(each) == 32 for each in ids)


class OnFullDisk(Datasets):
    """Whatever is uploaded goes to /dev/full, where every write fails as it does on a full disk."""

    @contextmanager
    def intake(self) -> Iterator[Intake]:
        with super().intake() as intake:
            for name in ("archive", "unpacking"):
                (intake.folder / name).symlink_to("/dev/full")
            yield intake


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk(client: Client, tmp_path: Path) -> None:
    home = tmp_path / "home"
    datasets = OnFullDisk(connect(f"sqlite:///{home / 'graft.db'}"), home, ArchiveLimits())
    client.app.state.services = replace(client.services, datasets=datasets)
    check_problem(client.post("/api/v1/datasets", content=b"PK\x03\x04"), 507, "disk")
    for part in ("archive", "file"):
        answer = client.post("/api/v1/datasets", files={part: ("discs/1.jpg", bytes(3 * 1024 * 1024))})
        check_problem(answer, 507, "disk")
    assert list((home / "datasets" / ".staging").iterdir()) == []


@contextmanager
def jobs_kept_in(client: Client, engine: Engine) -> Iterator[None]:
    before = client.services
    jobs = Jobs(engine)
    work = Work(before.datasets, jobs, before.registry, TaskDoorbell(lambda *_, **__: None))
    client.app.state.services = replace(before, jobs=jobs, work=work)
    yield
    client.app.state.services = before
    engine.dispose()


def check_away(client: Client, caplog: pytest.LogCaptureFixture, *words: str) -> None:
    caplog.clear()
    answer = client.get("/api/v1/jobs")
    problem = check_problem(answer, 503, "database", "Ask again")
    assert problem["type"] == "urn:graft:error:unavailable"
    assert int(answer.headers["Retry-After"]) > 0
    (record,) = [record for record in caplog.records if record.name == "graft.app"]
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert "\n" not in record.getMessage()
    for word in words:
        assert word in record.getMessage()


def test_a_database_server_that_is_away(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with jobs_kept_in(client, connect("postgresql+psycopg://graft:secret@127.0.0.1:1/jobs")):
        check_away(client, caplog, "refused")
    assert "secret" not in caplog.text


def test_a_database_file_that_is_away(client: Client, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'gone' / 'graft.db'}")
    (tmp_path / "gone").rmdir()
    with jobs_kept_in(client, engine):
        check_away(client, caplog, "unable to open")


def test_a_connection_that_the_server_ended(
    start: StartClient, caplog: pytest.LogCaptureFixture, postgresql_url: str
) -> None:
    client = start(database_url=postgresql_url)
    engine = create_engine(postgresql_url)  # without the look before each use that connect's has
    with engine.connect() as connection:
        (process,) = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
    killer = create_engine(postgresql_url)
    with killer.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({process}, 10000)")
    killer.dispose()
    with jobs_kept_in(client, engine):
        check_away(client, caplog, "terminat")


def test_a_pool_whose_connections_are_all_in_use(
    client: Client, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    busy = create_engine(f"sqlite:///{tmp_path / 'home' / 'graft.db'}", pool_size=1, max_overflow=0, pool_timeout=0)
    with busy.connect(), jobs_kept_in(client, busy):
        check_away(client, caplog, "QueuePool")


def test_a_database_without_room(
    client: Client, pictures_zip: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = client.post("/api/v1/datasets", content=pictures_zip).json()["id"]
    client.validate()
    engine = connect(f"sqlite:///{tmp_path / 'home' / 'graft.db'}")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
    body = {"dataset": dataset, "model": "signs", "metadata": {"filler": "x" * 100_000}}
    with jobs_kept_in(client, engine):
        check_problem(client.post("/api/v1/jobs", json=body), 507, "disk is full")
    assert not [record for record in caplog.records if record.exc_info]


def test_an_error_in_our_own_sql_is_no_database_that_is_away(client: Client, tmp_path: Path) -> None:
    with jobs_kept_in(client, connect(f"sqlite:///{tmp_path / 'empty.db'}")):  # it has no tables
        check_problem(client.get("/api/v1/jobs"), 500)
