"""What `graft up` says, and where it listens."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from graft.settings import Settings
from graft.up import Announcement, address, free_port, up


class Health:
    """A real server whose /health/ready answers what it is told to: (status, body), the last one for ever."""

    def __init__(self, answers: list[tuple[int, bytes]]) -> None:
        self.answers = answers
        self.asked = 0

    @contextmanager
    def running(self) -> Iterator[str]:
        health = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                health.asked += self.path == "/health/ready"
                status, body = health.answers.pop(0) if len(health.answers) > 1 else health.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield address("127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def test_it_says_once_where_it_listens_and_what_to_try() -> None:
    said: list[str] = []
    health = Health([(503, b"{}"), (200, b"{}")])
    with health.running() as url:
        announcement = Announcement(url, with_keys=False, say=said.append, every=0.0)
        for _ in range(4):
            announcement.look()
    assert said == [
        f"Graft listens on {url} (docs at {url}/docs). Try: curl -T pictures.zip '{url}/api/v1/datasets?name=pictures'"
    ]
    assert health.asked == 2


def test_a_wildcard_is_said() -> None:
    said: list[str] = []
    with Health([(200, b"{}")]).running() as url:
        Announcement(url, everywhere=True, with_keys=True, say=said.append).look()
    assert said[0].startswith(f"Graft listens on every address of this machine, here {url} (docs at")


def test_with_keys_the_line_shows_where_the_key_goes() -> None:
    said: list[str] = []
    with Health([(200, b"{}")]).running() as url:
        Announcement(url, with_keys=True, say=said.append).look()
    assert "curl -H 'X-API-Key: …' -T pictures.zip" in said[0]


def test_what_it_waits_for_is_said_once_when_that_takes_long() -> None:
    said: list[str] = []
    problem = b'{"detail": "The trunk is missing."}'
    with Health([(503, problem), (503, problem), (503, b"no json"), (200, b"{}")]).running() as url:
        announcement = Announcement(url, with_keys=False, say=said.append, every=0.0, patience=0.0)
        for _ in range(4):
            announcement.look()
    assert said[:2] == ["Graft is not ready yet. The trunk is missing.", "Graft is not ready yet. It answers 503."]
    assert said[2].startswith("Graft listens on ")


def test_nobody_there_yet_is_no_news() -> None:
    said: list[str] = []
    Announcement("http://127.0.0.1:1", with_keys=False, say=said.append, patience=0.0).look()
    assert said == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        (str(IPv4Address(0)), "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_address_is_one_that_this_machine_reaches(host: str, expected: str) -> None:
    assert address(host, 8000) == expected


def test_port_0_is_turned_into_a_free_one() -> None:
    port = free_port("127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", port)):
        assert port > 0


def test_a_taken_port_is_a_sentence_and_no_start(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert up(Settings(port=port, home=tmp_path), said.append) == 1
    assert said == [
        f"Graft must be able to listen on 127.0.0.1:{port}: another program listens there. "
        "Set GRAFT_HOST or GRAFT_PORT to an address that is free, as in: GRAFT_PORT=8001 make up"
    ]


def test_an_address_of_another_machine_is_a_sentence(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(host="192.0.2.1", api_keys=frozenset({"k"}), home=tmp_path)
    assert up(settings, said.append) == 1
    assert said[0].startswith("Graft must be able to listen on 192.0.2.1:8000: ")
