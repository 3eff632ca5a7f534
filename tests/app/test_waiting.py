"""How long callers wait: what they say beforehand, deadlines that pass, and callers that hang up."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.waiting import HEADER
from graft.errors import Unavailable
from tests.app.brightness import Gate
from tests.app.conftest import Client, check_problem, paths
from tests.drawing import jpeg
from tests.graft.serving import Service, serving

PREDICT = "/api/v1/models/vgg16/predict"
ROUTES = [
    PREDICT,
    "/api/v1/models/vgg16/versions/1/predict",
    "/api/v1/models/vgg16/aliases/stable/predict",
    "/api/v1/predict?models=vgg16",
    "/api/v1/embed",
]
PICTURE = jpeg("discs", 1)


@pytest.mark.parametrize("route", ROUTES)
def test_a_caller_says_how_long_it_waits(client: Client, route: str) -> None:
    """The predictor is told twice: before the body is read, and with the pictures."""
    for text in ("2.5", "0.25", "3600", "0009", "0.30000000000000004"):
        answer = client.post(route, content=PICTURE, headers={HEADER: text})
        assert answer.status_code == 200, answer.text
        assert client.predictor.timeouts == [float(text)] * 2
        client.predictor.timeouts.clear()
    assert client.post(route, content=PICTURE).status_code == 200
    assert client.predictor.timeouts == [None] * 2


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_no_time_to_wait(client: Client, route: str) -> None:
    for text in ("0", "0.000", "-1", "nan", "inf", "1e3", "1_000", "2,5", "2.5 s", "soon", ".5", "", "9" * 400):
        answer = client.post(route, content=PICTURE, headers={HEADER: text})
        check_problem(answer, 422, f"{HEADER} must be seconds above 0 in decimals", f"received {text[:100]!r}.")
    assert client.predictor.timeouts == []


def test_the_header_is_in_the_openapi_document() -> None:
    found = {
        path: header["schema"]["anyOf"][0]
        for path, operations in paths().items()
        for header in operations.get("post", {}).get("parameters", [])
        if header["name"] == HEADER
    }
    assert len(found) == len(ROUTES)
    assert all(schema == {"type": "number", "exclusiveMinimum": 0} for schema in found.values())


@pytest.mark.parametrize("route", ROUTES)
def test_a_busy_service_says_when_to_ask_again(client: Client, route: str) -> None:
    client.predictor.busy = Unavailable("A prediction must begin in time; the service is busy.", retry_after=3)
    check_problem(answer := client.post(route, content=PICTURE), 503, "busy")
    assert answer.headers["Retry-After"] == "3"


@pytest.mark.parametrize("route", ROUTES)
def test_a_deadline_that_passes(client: Client, route: str) -> None:
    client.predictor.gate = Gate()
    check_problem(answer := client.post(route, content=PICTURE, headers={HEADER: "0.01"}), 503, "in time")
    assert answer.headers["Retry-After"] == "7"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("home")) as service:
        yield service


@pytest.fixture
def gate(service: Service) -> Iterator[Gate]:
    """Where this test's predictions wait."""
    service.predictor.gate = gate = Gate()
    yield gate
    service.predictor.gate = None


def asked(service: Service, route: str) -> socket.socket:
    """A connection on which one picture has been sent."""
    host, port = httpx.URL(service.url).host, httpx.URL(service.url).port
    connection = socket.create_connection((host, port))
    connection.sendall(f"POST {route} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PICTURE)}\r\n\r\n".encode() + PICTURE)
    return connection


@pytest.mark.parametrize("route", ROUTES)
def test_the_prediction_of_a_caller_that_hangs_up_is_cancelled(service: Service, gate: Gate, route: str) -> None:
    with asked(service, route):
        gate.came.acquire()
    gate.cancelled.acquire()


@pytest.mark.parametrize("route", ROUTES)
def test_whoever_stays_is_answered_whoever_else_leaves(service: Service, gate: Gate, route: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        staying = pool.submit(httpx.post, service.url + route, content=PICTURE)
        gate.came.acquire()
        with asked(service, route):
            gate.came.acquire()
        gate.cancelled.acquire()
        assert not staying.done()
        gate.open()
        assert staying.result().status_code == 200
    assert not gate.cancelled.acquire(blocking=False)


def test_closing_one_s_own_half_of_the_connection_is_hanging_up(service: Service, gate: Gate) -> None:
    """As uvicorn has it: it closes the other half, too, and no answer could be sent."""
    with asked(service, PREDICT) as connection:
        gate.came.acquire()
        connection.shutdown(socket.SHUT_WR)
        gate.cancelled.acquire()
        assert connection.recv(1) == b""


def test_a_kept_connection_is_watched_anew_for_each_request(service: Service, gate: Gate) -> None:
    service.predictor.gate = None
    with httpx.Client(base_url=service.url) as client:
        for _ in range(3):
            assert client.post(PREDICT, content=PICTURE).status_code == 200
    with asked(service, PREDICT) as connection:
        assert connection.recv(12) == b"HTTP/1.1 200"
        service.predictor.gate = gate
        connection.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode())
        gate.came.acquire()
    gate.cancelled.acquire()
