"""Trying again, keys against doing it twice, and answers turned into errors."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from graft.client import ApiError, AsyncClient, Client, Unreachable
from graft.client.session import PAUSES, next_pause
from graft.client.wires import options
from tests.drawing import write
from tests.graft.client.test_bodies import unpacked

AT = "2026-11-24T09:00:00Z"
DATASET = {
    "id": "ds_1",
    "name": "a",
    "state": "validating",
    "created_at": "2026-11-24T09:00:00Z",
    "newer": {"field": 1},
}
BUSY = {"status": 503, "type": "urn:graft:error:unavailable", "detail": "The service must be ready; wait."}


class Script:
    """A service that gives these answers, one after another, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | type[httpx.TransportError]) -> None:
        self._answers: Iterator[httpx.Response | type[httpx.TransportError]] = iter(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = next(self._answers)
        if isinstance(answer, httpx.Response):
            return answer
        raise answer("broken", request=request)

    async def later(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self(request)

    def client(self, *, patience: float = 10.0) -> Client:
        return Client("http://graft", "a-key", patience=patience, transport=httpx.MockTransport(self))


def busy(seconds: int) -> httpx.Response:
    return httpx.Response(503, headers={"Retry-After": str(seconds)}, json=BUSY)


def test_an_upload_is_sent_again_whole_and_under_one_key(tmp_path: Path) -> None:
    script = Script(busy(0), httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(202, json=DATASET))
    seen: list[tuple[int, int]] = []
    with script.client() as client:
        dataset = client.upload(
            write(tmp_path / "set", {"a/1.jpg": b"1"}), on_progress=lambda *sizes: seen.append(sizes)
        )
    assert dataset.id == "ds_1"
    assert dataset.model_dump()["newer"] == {"field": 1}  # what this client does not know is kept
    assert [unpacked(request.content) for request in script.asked] == [{"a/1.jpg": b"1"}] * 3
    (key,) = {request.headers["Idempotency-Key"] for request in script.asked}
    assert len(key) == 36
    assert seen[-1] == (2048, 2048)
    first = script.asked[0]
    assert first.url == "http://graft/api/v1/datasets?name=set"
    assert (first.headers["Content-Type"], first.headers["Content-Length"]) == ("application/x-tar", "2048")
    assert first.headers["X-API-Key"] == "a-key"


def test_the_async_client_does_the_same(tmp_path: Path) -> None:
    script = Script(busy(0), httpx.Response(202, json=DATASET))

    async def upload() -> str:
        async with AsyncClient("http://graft", transport=httpx.MockTransport(script.later)) as client:
            return (await client.upload(write(tmp_path / "set", {"a/1.jpg": b"1"}))).id

    assert anyio.run(upload) == "ds_1"
    assert [unpacked(request.content) for request in script.asked] == [{"a/1.jpg": b"1"}] * 2
    assert len({request.headers["Idempotency-Key"] for request in script.asked}) == 1


def test_two_calls_have_two_keys_and_reading_has_none() -> None:
    job = {"id": "job_1", "kind": "train", "state": "queued", "created_at": AT}
    script = Script(*(httpx.Response(202, json=job) for _ in range(3)))
    with script.client() as client:
        client.train("ds_1", "signs")
        client.train("ds_1", "signs")
        client.job("job_1")
    keys = [request.headers.get("Idempotency-Key") for request in script.asked]
    assert None not in keys[:2]
    assert len(set(keys)) == 3
    assert keys[2] is None


def test_a_wait_beyond_the_clients_patience_is_the_services_answer_at_once() -> None:
    script = Script(busy(30))
    with script.client() as client, pytest.raises(ApiError) as error:
        client.job("job_1")
    assert (error.value.status, error.value.type, error.value.retry_after) == (503, BUSY["type"], 30)
    assert str(error.value) == error.value.detail == BUSY["detail"]
    assert len(script.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 500, 507])
def test_a_refusal_is_not_asked_again(status: int) -> None:
    script = Script(httpx.Response(status, text="<html>from a proxy</html>"))
    with script.client() as client, pytest.raises(ApiError) as error:
        client.job("job/1")
    assert error.value.status == status
    assert error.value.detail.startswith(f"http://graft/api/v1/jobs/job%2F1 answered {status}")


def test_a_connection_that_breaks_is_made_again() -> None:
    script = Script(httpx.ReadError, httpx.Response(200, json=DATASET))
    with script.client() as client:
        assert client.dataset("ds_1").id == "ds_1"


def test_a_service_that_does_not_answer_is_unreachable() -> None:
    script = Script(httpx.ConnectError)
    with script.client(patience=0) as client, pytest.raises(Unreachable, match=r"//graft/; it does not: broken\.$"):
        client.dataset("ds_1")


@pytest.mark.parametrize("body", ["<html>a router's page</html>", '{"id": 3}', "[]"])
def test_an_answer_that_is_not_grafts_is_an_error_too(body: str) -> None:
    with Script(httpx.Response(200, text=body)).client() as client, pytest.raises(Unreachable, match="must answer as"):
        client.dataset("ds_1")


@pytest.mark.parametrize(
    ("failure", "pauses"),
    [
        (Unreachable("away"), [*PAUSES, PAUSES[-1], PAUSES[-1]]),
        (ApiError(502, "a proxy's"), [*PAUSES, PAUSES[-1]]),
        (ApiError(503, "busy", retry_after=7), [7, 7]),
        (ApiError(409, "not ready", retry_after=7), [None]),
    ],
)
def test_how_long_to_wait_for_another_try(failure: ApiError | Unreachable, pauses: list[float | None]) -> None:
    assert [next_pause(failure, tries) for tries in range(len(pauses))] == pauses


def test_no_proxy_stands_between_a_machine_and_itself() -> None:
    own = ("http://127.0.0.1:8000", "http://localhost", "http://[::1]/")
    assert not any(options(url, None)["trust_env"] for url in own)
    assert options("https://graft.example", None)["trust_env"]
