"""Downloads from a real server that behaves well or badly."""

import hashlib
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graft.errors import MissingWeights
from graft.vgg16.download import NoAnswer, Patience, download
from graft.vgg16.sources import OfficialFile, OfficialSite
from tests.graft.vgg16.file_server import FileServer

DATA = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
EAGER = Patience(attempts=3, backoff_seconds=0.0)


class Notes:
    """Keeps what was said, and the last count of bytes."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.bytes: tuple[str, int, int | None] | None = None

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, name: str, done: int, total: int | None) -> None:
        self.bytes = name, done, total


def test_a_file_arrives_and_progress_ends_at_its_size(tmp_path: Path) -> None:
    notes = Notes()
    with FileServer({"f.h5": DATA}).running() as server:
        download(server.url + "f.h5", tmp_path / "f.h5", MD5, notes, EAGER)
    assert (tmp_path / "f.h5").read_bytes() == DATA
    assert notes.bytes == ("f.h5", len(DATA), len(DATA))
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 99_999), max_size=5), ranges=st.booleans())
def test_wherever_the_connection_breaks_off_the_file_is_whole(tmp_path: Path, cuts: list[int], ranges: bool) -> None:
    target = tmp_path / "f.h5"
    target.unlink(missing_ok=True)
    patience = Patience(attempts=10, backoff_seconds=0.0)
    with FileServer({"f.h5": DATA}, ranges=ranges, break_off=list(cuts)).running() as server:
        download(server.url + "f.h5", target, MD5, Notes(), patience)
        assert target.read_bytes() == DATA
        assert len(server.asked) == len(cuts) + 1
        assert all(wanted for _, wanted in server.asked[1:])  # each asked for the rest alone


def test_what_has_arrived_is_kept_for_the_next_call(tmp_path: Path) -> None:
    target = tmp_path / "f.h5"
    with FileServer({"f.h5": DATA}, break_off=[200_000, 0, 0]).running() as server:
        with pytest.raises(MissingWeights, match=r"broke off at 200,000 bytes .* 3 times in a row.* kept"):
            download(server.url + "f.h5", target, MD5, Notes(), EAGER)
        assert not target.exists()
        download(server.url + "f.h5", target, MD5, Notes(), EAGER)
        assert server.asked[-1] == ("/f.h5", "bytes=200000-")
    assert target.read_bytes() == DATA


def test_a_server_that_fails_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    with FileServer({"f.h5": DATA}, statuses=[503, 429]).running() as server:
        download(server.url + "f.h5", tmp_path / "f.h5", MD5, Notes(), EAGER)
    assert (tmp_path / "f.h5").read_bytes() == DATA


def test_wrong_bytes_never_get_the_name(tmp_path: Path) -> None:
    with FileServer({"f.h5": b"something else"}).running() as server:
        with pytest.raises(MissingWeights, match=rf"must have the md5 {MD5}; received 14 bytes with the md5 "):
            download(server.url + "f.h5", tmp_path / "f.h5", MD5, Notes(), EAGER)
        assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("leftover", [b"x" * 10, b"x" * len(DATA), b"x" * (len(DATA) + 1)])
def test_a_foreign_partial_file_is_thrown_away_once(tmp_path: Path, leftover: bytes) -> None:
    (tmp_path / "f.h5.part").write_bytes(leftover)
    notes = Notes()
    with FileServer({"f.h5": DATA}).running() as server:
        download(server.url + "f.h5", tmp_path / "f.h5", MD5, notes, EAGER)
    assert (tmp_path / "f.h5").read_bytes() == DATA
    assert any("starting over" in text for text in notes.said)


def test_a_whole_partial_file_only_needs_its_name(tmp_path: Path) -> None:
    (tmp_path / "f.h5.part").write_bytes(DATA)
    with FileServer({"f.h5": DATA}).running() as server:
        download(server.url + "f.h5", tmp_path / "f.h5", MD5, Notes(), EAGER)
        assert server.asked == [("/f.h5", f"bytes={len(DATA)}-")]
    assert (tmp_path / "f.h5").read_bytes() == DATA


def test_a_refusal_is_final(tmp_path: Path) -> None:
    with FileServer({}).running() as server:
        with pytest.raises(MissingWeights, match="answered 404 Not Found"):
            download(server.url + "f.h5", tmp_path / "f.h5", MD5, Notes(), EAGER)
        assert len(server.asked) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/f", "ftp://127.0.0.1/f", "no address"])
def test_an_address_where_nobody_is_is_given_up_at_once(tmp_path: Path, url: str) -> None:
    with pytest.raises(NoAnswer, match="did not answer"):
        download(url, tmp_path / "f.h5", MD5, Notes(), EAGER)


def test_a_listener_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/f"
        with pytest.raises(NoAnswer, match=r"nothing came within 0\.2 s|timed out"):
            download(url, tmp_path / "f.h5", MD5, Notes(), Patience(answer_seconds=0.2, attempts=99))


def test_a_site_that_did_not_answer_is_asked_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        site = OfficialSite(url, tmp_path, Patience(answer_seconds=0.2))
        for name in ("a.h5", "b.h5"):
            with pytest.raises(NoAnswer):
                site.fetch(OfficialFile(name, MD5), Notes())
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


FETCH = """
import sys
from pathlib import Path
from graft.vgg16.download import Patience
from graft.vgg16.sources import OfficialFile, OfficialSite

class Lines:
    def say(self, text): print(text, flush=True)
    def progress(self, name, done, total): pass

url, cache, md5 = sys.argv[1:]
print(OfficialSite(url, Path(cache), Patience(answer_seconds=60)).fetch(OfficialFile("f.h5", md5), Lines()))
"""


def test_two_processes_at_once_fetch_it_once(tmp_path: Path) -> None:
    gate = threading.Event()
    with FileServer({"f.h5": DATA}, gate=gate).running() as server:
        command = [sys.executable, "-c", FETCH, server.url, str(tmp_path), MD5]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first,
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second,
        ):
            # One of them fetches and is held at the gate; the other says that it waits.
            said = {_line(first), _line(second)}
            gate.set()
            ends = [_line(first), _line(second)]
        assert said == {
            f"Fetching f.h5 from {server.url}",
            "Another process is fetching f.h5; waiting for it.",
        }
        assert ends == [str(tmp_path / "f.h5")] * 2
        assert len(server.asked) == 1
    assert (tmp_path / "f.h5").read_bytes() == DATA


def _line(process: "subprocess.Popen[str]") -> str:
    if process.stdout is None:
        raise AssertionError("the process must be started with its output in a pipe")
    return process.stdout.readline().strip()
