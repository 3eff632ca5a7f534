"""Keys: asked for under /api/v1, and nowhere else."""

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


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json"])
def test_health_and_docs_are_open(guarded: Client, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_without_keys_configured_none_is_asked(client: Client) -> None:
    assert client.get("/api/v1/models", headers={"Authorization": "Bearer whatever"}).status_code == 200
