"""Keys: asked for under /api/v1 and at /metrics, and nowhere else."""

from collections.abc import AsyncIterator

import pytest

from tests.app.conftest import Client, StartClient, check_problem

KEYS = frozenset({"first-key", "zweiter-schlüssel"})


@pytest.fixture
def guarded(start: StartClient) -> Client:
    return start(api_keys=KEYS)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer first-key"},
        {"authorization": "bearer first-key"},
        {"X-API-Key": "first-key"},
        {"X-API-Key": "zweiter-schlüssel".encode()},
    ],
)
def test_a_configured_key_opens(guarded: Client, headers: dict[str, str]) -> None:
    assert guarded.get("/api/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer first-ke"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic first-key"},
        {"X-API-Key": "first-key2"},
        {"X-API-Key": ""},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/models"),
        ("POST", "/api/v1/models/vgg16/predict"),
        ("POST", "/api/v1/datasets"),
        ("POST", "/api/v1/jobs"),
    ],
)
def test_any_other_does_not(guarded: Client, headers: dict[str, str], method: str, path: str) -> None:
    answer = guarded.request(method, path, headers=headers)
    check_problem(answer, 401, "X-API-Key")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_every_route_of_the_api_asks_before_it_looks_at_the_request(guarded: Client) -> None:
    document = guarded.get("/openapi.json").json()
    routes = [(method, path) for path, operations in document["paths"].items() for method in operations]
    asking = [(method, path) for method, path in routes if path.startswith("/api/v1/")]
    assert len(asking) > 20
    for method, path in asking:
        headers = {"Content-Type": "application/json"}
        answer = guarded.request(method.upper(), path, params={"nonsense": 1}, content=b"{", headers=headers)
        check_problem(answer, 401, "none arrived")


def test_without_a_key_a_body_is_not_even_read(guarded: Client) -> None:
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(b"{")
        yield b"{"

    for path in ("/api/v1/jobs", "/api/v1/datasets", "/api/v1/models/vgg16/predict"):
        check_problem(guarded.post(path, content=body()), 401)
    assert read == []


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json"])
def test_health_and_docs_are_open(guarded: Client, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_without_keys_configured_none_is_asked(client: Client) -> None:
    assert client.get("/api/v1/models", headers={"Authorization": "Bearer whatever"}).status_code == 200
