"""Failures: each class has its status, each answer is a problem, and only the unforeseen leaves a traceback."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.errors import KINDS, kind_of
from graft import errors
from graft.database import connect
from graft.datasets import ArchiveLimits, Datasets
from tests.app.conftest import Client, check_problem

# These never leave a job process.
INSIDE = {errors.StaleFence, errors.Interrupted}


def tree(root: type[errors.GraftError]) -> set[type[errors.GraftError]]:
    return {root, *(below for child in root.__subclasses__() for below in tree(child))}


def test_every_error_that_can_reach_a_route_has_a_row() -> None:
    assert set(KINDS) == {each for each in tree(errors.GraftError) if each.__module__ == "graft.errors"} - INSIDE - {
        errors.GraftError
    }


def test_a_subclass_answers_as_its_base_does() -> None:
    class Odd(errors.NotFound):
        """Without a row of its own."""

    assert kind_of(Odd("…")) is KINDS[errors.NotFound]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nowhere", 404, ["/nowhere", "/docs"]),
        ("GET", "/api/v1/nowhere", 404, ["/api/v1/nowhere"]),
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
    """Uploads go to /dev/full, where every write fails as it does on a full disk."""

    def incoming(self) -> Path:
        name = super().incoming()
        name.symlink_to("/dev/full")
        return name


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk(client: Client, tmp_path: Path) -> None:
    home = tmp_path / "home"
    datasets = OnFullDisk(connect(f"sqlite:///{home / 'graft.db'}"), home, ArchiveLimits(1000, 10, 1000, 10, 1000))
    client.app.state.services = replace(client.services, datasets=datasets)
    check_problem(client.post("/api/v1/datasets", content=b"PK\x03\x04"), 507, "disk")
    assert list((home / "datasets" / ".incoming").iterdir()) == []
