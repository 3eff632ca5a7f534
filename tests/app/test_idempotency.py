"""`Idempotency-Key`: the same request again creates nothing more."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest
from fastapi import Request, Response
from starlette.types import Message

from app.idempotency import Once, fingerprint
from graft.database import connect, migrate
from graft.idempotency import IdempotencyKeys
from graft.jobs import Job, Jobs
from tests.app.conftest import Client, StartClient, check_problem, documented, paths

JOBS = "/api/v1/jobs"


@pytest.fixture
def dataset(client: Client, pictures_zip: bytes) -> str:
    """Id of a dataset that is ready."""
    this: str = client.post("/api/v1/datasets", content=pictures_zip).json()["id"]
    client.validate()
    return this


def ask(client: Client, key: str, dataset: str, **more: Any) -> httpx.Response:
    body = {"dataset": dataset, "model": "signs", **more}
    return client.post(JOBS, json=body, headers={"Idempotency-Key": key})


def trainings(client: Client) -> list[str]:
    return [job["id"] for job in client.get(JOBS, params={"kind": "train"}).json()["data"]]


def test_the_same_request_answers_with_what_is_there(client: Client, dataset: str) -> None:
    first = ask(client, "a", dataset)
    assert (first.status_code, first.headers.get("Idempotency-Replayed")) == (202, None)
    client.post(f"{JOBS}/{first.json()['id']}/cancel")
    again = ask(client, "a", dataset)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json() == client.get(first.headers["Location"]).json()
    assert again.json()["state"] == "cancelled"
    assert ask(client, "b", dataset).json()["id"] != first.json()["id"]
    assert len(trainings(client)) == 2


def test_what_would_be_refused_today_is_answered_when_it_is_there(client: Client, dataset: str) -> None:
    first = ask(client, "a", dataset)
    client.post(f"{JOBS}/{first.json()['id']}/cancel")
    client.request("DELETE", f"/api/v1/datasets/{dataset}")
    assert ask(client, "a", dataset).json()["id"] == first.json()["id"]
    check_problem(ask(client, "b", dataset), 404, dataset)


def test_a_key_of_another_request_is_refused(client: Client, dataset: str) -> None:
    ask(client, "a", dataset)
    check_problem(ask(client, "a", dataset, priority=1), 422, "Idempotency-Key", "one request")
    assert len(trainings(client)) == 1


def test_a_request_that_was_refused_can_be_corrected_or_sent_again(client: Client) -> None:
    check_problem(ask(client, "a", "ds_none", priority="high"), 422, "priority")
    check_problem(ask(client, "a", "ds_none"), 404, "ds_none")
    check_problem(ask(client, "a", "ds_none"), 404, "ds_none")
    assert trainings(client) == []


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "größe"])
def test_a_key_has_a_form(client: Client, dataset: str, key: str) -> None:
    headers = {"Idempotency-Key": key.encode()}
    answer = client.post(JOBS, json={"dataset": dataset, "model": "signs"}, headers=headers)
    check_problem(answer, 422, "1 to 255 visible ASCII characters")
    assert trainings(client) == []


def test_callers_have_keys_of_their_own(start: StartClient, pictures_zip: bytes) -> None:
    client = start(api_keys="mine,yours")
    ids = []
    for credentials in ({"X-API-Key": "mine"}, {"Authorization": "Bearer yours"}, {"Authorization": "Bearer mine"}):
        body = {"dataset": "ds_none", "model": "signs"}
        answer = client.post(JOBS, json=body, headers={"Idempotency-Key": "a", **credentials})
        check_problem(answer, 404)
        dataset = client.post("/api/v1/datasets", content=pictures_zip, headers=credentials).json()["id"]
        client.validate()
        body["dataset"] = dataset
        ids.append(client.post(JOBS, json=body, headers={"Idempotency-Key": "b" * 255, **credentials}))
    assert [answer.status_code for answer in ids] == [202, 202, 422]
    assert ids[0].json()["id"] != ids[1].json()["id"]


def test_the_header_is_documented_where_it_is_taken() -> None:
    taken = {
        (method, path)
        for path, operations in paths().items()
        for method, operation in operations.items()
        if any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", []))
    }
    assert ("post", JOBS) in taken
    assert {method for method, _ in taken} == {"post"}
    assert "422" in (documented("POST", JOBS) or set())


def sent(path: str, content_type: str, body: bytes, query: str = "", method: str = "POST") -> str:
    """The fingerprint of an upload, whose route has not read its body yet."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
    return asyncio.run(fingerprint(Request(scope | {"server": ("graft", 80), "scheme": "http"}, receive)))


def test_what_makes_two_requests_the_same() -> None:
    form, json = "multipart/form-data; boundary=one", "application/json"
    same = sent("/d", form, b"one", "name=a&test_split=0.1")
    assert sent("/d", form.replace("one", "two"), b"two", "test_split=0.1&name=a") == same
    assert sent("/d", json, b'{"a":1}') == sent("/d", json + "; charset=utf-8", b'{"a":1}')
    different = [
        same,
        sent("/d", form, b"three", "name=a&test_split=0.1"),
        sent("/d", form, b"one", "name=b&test_split=0.1"),
        sent("/d", form, b"one", "name=a&name=a&test_split=0.1"),
        sent("/d/files", form, b"one", "name=a&test_split=0.1"),
        sent("/d", form, b"one", "name=a&test_split=0.1", method="PUT"),
        sent("/d", "application/zip", b"one", "name=a&test_split=0.1"),
        sent("/d", json, b'{"a":1}'),
        sent("/d", json, b'{"a":2}'),
    ]
    assert len(set(different)) == len(different)


@pytest.fixture
def processes(database_url: str) -> Iterator[list[tuple[Jobs, IdempotencyKeys]]]:
    """Jobs and keys as four processes have them: each with connections of its own."""
    engines = [connect(database_url) for _ in range(4)]
    migrate(engines[0])
    yield [(Jobs(engine), IdempotencyKeys(engine)) for engine in engines]
    for engine in engines:
        engine.dispose()


def creation(jobs: Jobs) -> Callable[[str | None], Job]:
    return lambda this: jobs.create("train", id=this, model="signs")


def test_at_the_same_moment_on_several_processes_one_creates(processes: list[tuple[Jobs, IdempotencyKeys]]) -> None:
    def make(jobs: Jobs, keys: IdempotencyKeys, digest: str, start: Barrier) -> tuple[str, bool]:
        response = Response()
        start.wait()
        job = Once(keys, response, digest, "1" * 64).make("job", jobs.get, creation(jobs))
        return job.id, "Idempotency-Replayed" in response.headers

    with ThreadPoolExecutor(4) as pool:
        for turn in range(10):
            start = Barrier(4)
            made = [pool.submit(make, jobs, keys, f"{turn:02x}" * 32, start) for jobs, keys in processes]
            answers = [each.result() for each in made]
            assert len({this for this, _ in answers}) == 1
            assert not all(replayed for _, replayed in answers)
    assert len(processes[0][0].list()[0]) == 10


def test_a_crash_between_the_key_and_what_it_creates_is_made_good(
    processes: list[tuple[Jobs, IdempotencyKeys]],
) -> None:
    jobs, keys = processes[0]
    response = Response()
    once = Once(keys, response, "a" * 64, "1" * 64)
    assert once.find("job", jobs.get) is None  # and then the process dies
    made = once.make("job", jobs.get, creation(jobs))
    assert "Idempotency-Replayed" not in response.headers
    assert once.make("job", jobs.get, creation(jobs)) == made
