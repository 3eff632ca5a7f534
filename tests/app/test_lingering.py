"""Answers that come before the body has: they need none of it, and whoever is still sending sees them."""

import http.client
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.draining import Drain
from app.lingering import Lingering
from app.predictor import Predicts
from app.warmup import Warmup
from graft.errors import Unavailable
from tests.app.conftest import check_problem
from tests.graft.serving import Service, serving

MIB = 1024 * 1024
PREDICT = "/api/v1/models/vgg16/predict"
NOBODY = "/api/v1/models/nobody/predict"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("home")) as service:
        service.publish("signs")
        yield service


@pytest.fixture
def service(shared: Service) -> Iterator[Service]:
    """One that a test may leave busy."""
    yield shared
    shared.predictor.busy = None


@pytest.fixture
def busy(service: Service) -> Service:
    service.predictor.busy = Unavailable("A prediction must begin in time; the service is busy.", retry_after=3)
    return service


def connection(service: Service) -> http.client.HTTPConnection:
    host, port = httpx.URL(service.url).host, httpx.URL(service.url).port
    return http.client.HTTPConnection(host, port)


def refused(service: Service, path: str, *headers: tuple[str, str]) -> int:
    """The status of the answer to a request whose body is announced and never sent."""
    asking = connection(service)
    asking.putrequest("POST", path)
    for name, value in headers or [("Content-Length", str(10 * MIB))]:
        asking.putheader(name, value)
    asking.endheaders()
    status = asking.getresponse().status
    asking.close()
    return status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (NOBODY, 404),
        ("/api/v1/models/signs/versions/9/predict", 404),
        ("/api/v1/models/signs/aliases/canary/predict", 404),
        ("/api/v1/predict?models=signs,nobody", 404),
        ("/api/v1/predict?models=signs,,vgg16", 422),
        ("/api/v1/nowhere", 404),
    ],
)
def test_what_cannot_answer_reads_no_body(service: Service, path: str, status: int) -> None:
    assert refused(service, path) == status
    assert refused(service, path, ("Transfer-Encoding", "chunked")) == status
    assert refused(service, path, ("Content-Length", "3"), ("Expect", "100-continue")) == status


@pytest.mark.parametrize("path", [PREDICT, "/api/v1/predict?models=signs", "/api/v1/embed"])
def test_a_service_that_is_busy_or_loading_reads_no_body(busy: Service, path: str) -> None:
    assert refused(busy, path) == 503
    busy.predictor.busy = None
    services = busy.services
    loading: Warmup[Predicts] = Warmup(lambda: busy.predictor)  # never begun
    busy.app.state.services = replace(services, engine=loading)
    try:
        assert refused(busy, path) == 503
    finally:
        busy.app.state.services = services


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}, {"Connection": "keep-alive"}])
@pytest.mark.parametrize("size", [MIB // 2, 10 * MIB])
def test_who_sends_all_before_it_reads_sees_that_the_service_is_busy(
    busy: Service, size: int, headers: dict[str, str]
) -> None:
    asking = connection(busy)
    asking.request("POST", PREDICT, body=b"\0" * size, headers=headers)
    answer = asking.getresponse()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "3")
    assert b"busy" in answer.read()
    asking.close()


def test_so_it_is_for_clients_that_know_no_more_than_http_1_0(busy: Service) -> None:
    host, port = httpx.URL(busy.url).host, httpx.URL(busy.url).port
    with socket.create_connection((host, port)) as asking:
        asking.sendall(f"POST {PREDICT} HTTP/1.0\r\nContent-Length: {10 * MIB}\r\n\r\n".encode())
        asking.sendall(b"\0" * (10 * MIB))
        answer = b"".join(iter(lambda: asking.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"busy" in answer


def test_so_it_is_for_httpx(busy: Service) -> None:
    check_problem(httpx.post(busy.url + PREDICT, content=b"\0" * (10 * MIB)), 503, "busy")
    check_problem(httpx.post(busy.url + PREDICT, content=iter([b"\0" * MIB] * 10)), 503, "busy")


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
@pytest.mark.parametrize(
    "options", [["-T"], ["-H", "Expect:", "-T"], ["--http1.0", "-T"], ["-H", "Connection: close", "-T"]]
)
def test_so_it_is_for_curl(busy: Service, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "picture").write_bytes(b"\0" * (10 * MIB))
    command = ["curl", "-s", "-w", "%{http_code}", *options, str(tmp_path / "picture"), busy.url + PREDICT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the service is busy" in done.stdout
    assert done.stdout.endswith("503")


def test_a_connection_is_kept_where_little_was_to_come(busy: Service) -> None:
    asking = connection(busy)
    for _ in range(3):
        asking.request("POST", PREDICT, body=b"\0" * MIB)
        answer = asking.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (503, None)
        answer.read()
        assert asking.sock is not None  # http.client's way to say that the connection is kept
    asking.close()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\0" * (2 * MIB), {}),
        (iter([b"\0"]), {}),  # chunked
        (b"\0", {"Expect": "100-continue"}),
    ],
)
def test_the_answer_says_so_where_it_is_not_kept(
    busy: Service, body: bytes | Iterator[bytes], headers: dict[str, str]
) -> None:
    answer = httpx.post(busy.url + PREDICT, content=body, headers=headers)
    assert (answer.status_code, answer.headers["Connection"]) == (503, "close")


async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b"busy"})


class Caller:
    """One that sends pieces of its body, then nothing more. silent: called then."""

    def __init__(self, *pieces: Message, silent: Callable[[], None] = lambda: None) -> None:
        self.pieces = list(pieces)
        self.silent = silent
        self.seen: list[str] = []
        self.deadlines: list[float] = []  # until when each piece was waited for

    async def receive(self) -> Message:
        self.seen.append("read")
        self.deadlines.append(anyio.current_effective_deadline())
        if not self.pieces:
            self.silent()
            await anyio.sleep_forever()
        return self.pieces.pop(0)

    async def send(self, message: Message) -> None:
        self.seen.append(f"{message['type']} {message.get('body', b'').decode()} {message.get('more_body', False)}")

    async def ask(self, lingering: Lingering) -> None:
        await lingering({"type": "http", "headers": [(b"content-length", b"100")]}, self.receive, self.send)


PIECE = {"type": "http.request", "body": b"x", "more_body": True}
LEAVES = {"type": "http.disconnect"}
ANSWERED = ["http.response.start  False", "http.response.body busy True"]
ENDED = "http.response.body  False"
DEADLINE = 30.0  # seconds, after which a test that hangs fails


@pytest.mark.parametrize(
    ("pieces", "reads", "limits"),
    [
        ([LEAVES], 1, {}),
        ([PIECE, LEAVES], 2, {}),
        ([], 1, {"seconds": 0.01}),
        ([PIECE], 2, {"silence": 0.01}),
    ],
)
def test_the_answer_goes_out_first_and_nobody_is_waited_for_without_end(
    pieces: list[Message], reads: int, limits: dict[str, float]
) -> None:
    caller = Caller(*pieces)
    anyio.run(caller.ask, Lingering(refuse, Drain(), **{"seconds": DEADLINE, "silence": DEADLINE, **limits}))
    assert caller.seen == [*ANSWERED, *["read"] * reads, ENDED]


def test_each_piece_has_its_time_and_all_of_them_have_theirs() -> None:
    lively, slow = Caller(PIECE, PIECE, LEAVES), Caller(PIECE, PIECE, LEAVES)
    anyio.run(lively.ask, Lingering(refuse, Drain(), seconds=DEADLINE, silence=1))
    anyio.run(slow.ask, Lingering(refuse, Drain(), seconds=1, silence=DEADLINE))
    assert lively.deadlines == sorted(set(lively.deadlines))
    assert len(set(slow.deadlines)) == 1


@pytest.fixture
def stopped() -> Iterator[list[int]]:
    """The signals that the server's own handler was given."""
    signals: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: signals.append(number))
    yield signals
    signal.signal(signal.SIGTERM, before)


def test_nobody_is_waited_for_once_the_server_is_to_end(stopped: list[int]) -> None:
    stuck, later = Caller(silent=partial(signal.raise_signal, signal.SIGTERM)), Caller()

    async def ask() -> None:
        drain = Drain(seconds=0)
        lingering = Lingering(refuse, drain, seconds=DEADLINE, silence=DEADLINE)
        with drain.watching(), anyio.fail_after(DEADLINE / 2):
            await stuck.ask(lingering)
            assert stopped == [signal.SIGTERM]
            await later.ask(lingering)

    anyio.run(ask)
    assert stuck.seen == later.seen == [*ANSWERED, "read", ENDED]
