"""What only a server process shows: bodies that stream through, callers that hang up, and its end on SIGTERM."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from graft.database import connect
from graft.jobs import Job, Jobs
from tests.app.conftest import StartClient, check_problem
from tests.drawing import jpeg

MIB = 1024 * 1024


class Server:
    """uvicorn on a port of its own, and what it has logged so far."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        home.mkdir()
        os.mkfifo(home / "gate")
        command = [sys.executable, "-m", "uvicorn", "tests.app.serving:gated", "--factory", "--port", "0"]
        env = {**os.environ, "GRAFT_HOME": str(home), "GRAFT_PREDICT_BODY_BYTES": str(MIB), **settings}
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.log: list[str] = []
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"running on (http://127\.0\.0\.1:(\d+))", line):
                self.url, self.port = found[1], int(found[2])
                break
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr or ()))
        self._reader.start()
        while httpx.get(f"{self.url}/health/ready").status_code != 200:
            pass

    def peak_memory(self) -> int:
        """Bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def sockets(self) -> int:
        return len([each for each in Path(f"/proc/{self.process.pid}/fd").iterdir() if each.is_socket()])

    def listens(self) -> bool:
        try:
            httpx.get(f"{self.url}/health/live")
        except httpx.TransportError:
            return False
        return True

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


def run(home: Path, **settings: str) -> Iterator[Server]:
    server = Server(home, **settings)
    yield server
    server.close()
    assert not [line for line in server.log if "Traceback" in line]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it running."""
    yield from run(tmp_path_factory.mktemp("server") / "home")


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Server]:
    """One for each test that ends it."""
    yield from run(tmp_path / "home")


def blocks(count: int) -> Iterator[bytes]:
    block = b"\0" * MIB
    for _ in range(count):
        yield block


def form(count: int) -> Iterator[bytes]:
    yield b'--x\r\nContent-Disposition: form-data; name="archive"; filename="a.zip"\r\n\r\n'
    yield from blocks(count)
    yield b"\r\n--x--\r\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_uploads_stream_through(server: Server) -> None:
    url = f"{server.url}/api/v1/datasets"
    check_problem(httpx.post(url, content=blocks(1)), 415)
    before = server.peak_memory()
    check_problem(httpx.post(url, content=blocks(200)), 415)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    check_problem(httpx.post(url, content=form(200), headers=headers), 415)
    assert server.peak_memory() - before < 50 * MIB
    assert list((server.home / "datasets" / ".staging").iterdir()) == []


def many_parts(count: int) -> bytes:
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="{}/{}.jpg"\r\n\r\n{}\r\n'
    return "".join(head.format(i % 2, i, f"{i:04d}" * 1000) for i in range(count)).encode() + b"--x--\r\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_thousands_of_pictures_go_in_with_one_request(server: Server) -> None:
    url, headers = f"{server.url}/api/v1/datasets", {"Content-Type": "multipart/form-data; boundary=x"}
    assert httpx.post(url, content=many_parts(20), headers=headers).json()["files"] == 20
    before = server.peak_memory()
    answer = httpx.post(url, content=many_parts(2000), headers=headers)
    assert (answer.status_code, answer.json()["files"]) == (202, 2000)
    assert server.peak_memory() - before < 50 * MIB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_a_large_archive_goes_in(server: Server, tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar"
    with tarfile.open(archive, "w") as file:
        for name in ("cats/1.jpg", "dogs/1.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 50 * MIB
            file.addfile(member, BytesIO(os.urandom(member.size)))
    before = server.peak_memory()
    with archive.open("rb") as body:
        answer = httpx.post(f"{server.url}/api/v1/datasets", content=body, timeout=60)
    assert (answer.status_code, answer.json()["files"]) == (202, 2)
    assert server.peak_memory() - before < 50 * MIB


@pytest.mark.parametrize("part", [None, "archive", "file"])
def test_a_caller_that_hangs_up_leaves_nothing(server: Server, part: str | None) -> None:
    staging = server.home / "datasets" / ".staging"
    head = f"POST /api/v1/datasets HTTP/1.1\r\nHost: x\r\nContent-Length: {100 * MIB}\r\n"
    start = ""
    if part:
        head += "Content-Type: multipart/form-data; boundary=x\r\n"
        start = f'--x\r\nContent-Disposition: form-data; name="{part}"; filename="cats/1.jpg"\r\n\r\n'
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        content = b"" if part == "file" else b"PK\3\4"  # what is no archive is refused before
        connection.sendall(f"{head}\r\n{start}".encode() + content + b"\0" * (2 * MIB))
        while not list(staging.glob("*/*")):
            pass
    while any(staging.iterdir()):
        pass
    assert httpx.get(f"{server.url}/health/live").status_code == 200


@pytest.mark.parametrize("announced", [True, False])
def test_a_client_that_sends_all_before_it_reads_learns_that_it_was_too_much(server: Server, announced: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body = b"\0" * (8 * MIB) if announced else blocks(8)
    connection.request("POST", "/api/v1/models/vgg16/predict", body=body, encode_chunked=not announced)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (413, "application/problem+json")
    answer.read()
    connection.close()


@pytest.fixture
def job(mortal: Server) -> Iterator[tuple[Jobs, Job]]:
    """One that runs, and the table that it is in."""
    engine = connect(f"sqlite:///{mortal.home / 'graft.db'}")
    jobs = Jobs(engine)
    jobs.create("train", model="signs")
    running = jobs.claim("training", "test")
    assert running is not None
    yield jobs, running
    engine.dispose()


def test_sigterm_turns_ready_off_at_once_and_finishes_what_was_accepted(
    mortal: Server, job: tuple[Jobs, Job], start: StartClient
) -> None:
    jobs, running = job
    path, accept = f"/api/v1/jobs/{running.id}/events", {"Accept": "text/event-stream"}
    with ThreadPoolExecutor(1) as pool, httpx.stream("GET", mortal.url + path, headers=accept) as stream:
        lines = stream.iter_lines()
        assert "event: running" in lines
        predict = f"{mortal.url}/api/v1/models/vgg16/predict"
        accepted = pool.submit(httpx.post, predict, content=jpeg("discs", 1), timeout=60)
        with (mortal.home / "gate").open("wb"):  # opens once the prediction is at the gate
            mortal.process.send_signal(signal.SIGTERM)
            while (answer := httpx.get(f"{mortal.url}/health/ready")).status_code == 200:
                pass
            check_problem(answer, 503, "shutting down")
            assert httpx.get(f"{mortal.url}/api/v1/models").status_code == 200
            assert httpx.post(f"{mortal.url}/api/v1/embed", content=jpeg("discs", 1)).status_code == 200
            jobs.event(running.id, running.fence, "epoch", {"epoch": 1})
            assert "event: epoch" in lines
            assert not [line for line in lines if line.startswith("event")]  # its end, and no error
            jobs.succeed(running.id, running.fence)
            while mortal.listens():
                pass
            assert not accepted.done()
        assert accepted.result().json()["predictions"][0]["top"]
    mortal.process.wait()
    (last,) = [event.id for event in jobs.events(running.id)[0] if event.type == "epoch"]
    resumed = start().get(path, headers=accept | {"Last-Event-ID": str(last)})  # another process of the same service
    assert re.findall("event: (.*)", resumed.text) == ["succeeded"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_do_not_keep_a_server_that_is_to_end_at_once(
    mortal: Server, job: tuple[Jobs, Job], number: signal.Signals
) -> None:
    url, accept = f"{mortal.url}/api/v1/jobs/{job[1].id}/events", {"Accept": "text/event-stream"}
    with httpx.stream("GET", url, headers=accept) as stream:
        lines = stream.iter_lines()
        assert "event: running" in lines
        mortal.process.send_signal(number)
        if number == signal.SIGTERM:  # it has two seconds, unless it is asked twice
            while httpx.get(f"{mortal.url}/health/ready").status_code == 200:
                pass
            mortal.process.send_signal(number)
        assert not [line for line in lines if line.startswith("event")]
    mortal.process.wait()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open sockets are read from /proc")
def test_a_follower_that_hangs_up_is_forgotten(server: Server) -> None:
    engine = connect(f"sqlite:///{server.home / 'graft.db'}")
    job = Jobs(engine).create("train", model="signs").id
    engine.dispose()
    before = server.sockets()
    head = f"GET /api/v1/jobs/{job}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for connection in connections:
        connection.sendall(head.encode())
        while b"event: queued" not in connection.recv(4096):
            pass
    assert server.sockets() >= before + 20
    for connection in connections:
        connection.close()
    while server.sockets() > before:
        pass
