"""One file over HTTP: resumed where it broke off, retried, checked, and only then given its name."""

import hashlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from graft.disk import room_for
from graft.errors import MissingWeights

logger = logging.getLogger(__name__)


class Reporter(Protocol):
    """Whoever watches a fetch: a terminal, or a log."""

    def say(self, text: str) -> None:
        """One sentence about what happens now."""

    def progress(self, name: str, done: int, total: int | None) -> None:
        """`done` of `total` bytes of the file are here; the total is None where the server does not tell."""


class LogReporter:
    """Sentences go to the log; bytes are not worth a line."""

    def say(self, text: str) -> None:
        logger.info(text)

    def progress(self, name: str, done: int, total: int | None) -> None:
        pass


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server: `answer_seconds` for a first answer (name look-up and every address counted) and
    between two pieces; `attempts` in a row that bring nothing, with pauses that double from `backoff_seconds`.
    """

    answer_seconds: float = 5.0
    attempts: int = 5
    backoff_seconds: float = 0.5


PATIENCE = Patience()


class NoAnswer(MissingWeights):
    """Nobody answered at the address within the time for a first answer."""


class _BrokenOffError(Exception):
    """The transfer stopped before its end; what has arrived is kept in the partial file."""


def download(url: str, target: Path, md5: str, reporter: Reporter, patience: Patience) -> None:
    """Fetch `url` into `target`, which appears only when its md5 (hex) is right.

    What has arrived waits in `target` + `.part` for the next attempt, in this call or a later one. One process at a
    time: the caller holds a lock. Raises NoAnswer, DiskFull, or MissingWeights: refused, broken off, other bytes.
    """
    part = target.with_name(target.name + ".part")
    resumed = _size(part) > 0
    with httpx.Client(
        timeout=patience.answer_seconds, follow_redirects=True, headers={"Accept-Encoding": "identity"}
    ) as client:
        _receive_all(client, url, part, reporter, patience)
        received = md5_of(part)
        if received != md5 and resumed:  # it began as another file, or the server's has changed since
            reporter.say(f"{part.name} was left by another download; starting over.")
            part.unlink()
            _receive_all(client, url, part, reporter, patience)
            received = md5_of(part)
    if received != md5:
        size = _size(part)
        part.unlink()
        raise MissingWeights(
            f"{url} must have the md5 {md5}; received {size:,} bytes with the md5 {received}. "
            "Try again, or name another mirror with GRAFT_WEIGHTS_URL."
        )
    part.replace(target)


def _receive_all(client: httpx.Client, url: str, part: Path, reporter: Reporter, patience: Patience) -> None:
    """Ask until the partial file is whole; attempts that bring nothing are counted, others are free."""
    fruitless = 0
    while True:
        before = _size(part)
        try:
            return _receive(client, url, part, reporter, patience.answer_seconds)
        except _BrokenOffError as error:
            here = _size(part)
            fruitless = 1 if here > before else fruitless + 1
            if fruitless >= patience.attempts:
                raise MissingWeights(
                    f"{url} broke off at {here:,} bytes ({error}), {fruitless} times in a row. "
                    "Try again later: what has arrived is kept."
                ) from error
            reporter.say(f"{part.stem} broke off at {here:,} bytes ({error}); asking for the rest.")
            time.sleep(patience.backoff_seconds * 2 ** (fruitless - 1))


def _receive(client: httpx.Client, url: str, part: Path, reporter: Reporter, answer_seconds: float) -> None:
    """One request, its body appended to the partial file. Raises _BrokenOffError where asking again may help."""
    offset = _size(part)
    try:
        request = client.build_request("GET", url, headers={"Range": f"bytes={offset}-"} if offset else {})
        response = _answer(client, request, answer_seconds)
    except (httpx.TransportError, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise NoAnswer(f"{urlsplit(url).netloc or url} did not answer: {error}.") from error
    try:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing lies after what we have; the md5 tells whether it is the file
        if response.status_code in (408, 429) or response.is_server_error:
            raise _BrokenOffError(f"it answered {response.status_code} {response.reason_phrase}")
        if not response.is_success:
            raise MissingWeights(f"{url} answered {response.status_code} {response.reason_phrase}.")
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            offset = 0  # the server knows no ranges: it sends the whole file again
        with room_for(part.stem):
            _append(response, part, offset, reporter)
    except httpx.TransportError as error:
        raise _BrokenOffError(error) from error
    finally:
        response.close()


def _append(response: httpx.Response, part: Path, offset: int, reporter: Reporter) -> None:
    length = response.headers.get("Content-Length")
    total = offset + int(length) if length else None
    done = offset
    with part.open("ab" if offset else "wb") as file:
        for piece in response.iter_raw():
            file.write(piece)
            done += len(piece)
            reporter.progress(part.stem, done, total)
        file.flush()
        os.fsync(file.fileno())


def _answer(client: httpx.Client, request: httpx.Request, seconds: float) -> httpx.Response:
    """The head of the response, within so many seconds in all.

    The client's own limit counts each address of a name anew, and the look-up of the name not at all; where packets are
    dropped that adds up to minutes. So the question is asked in a thread that is left behind when the time is up.
    """
    answers: SimpleQueue[httpx.Response | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(client.send(request, stream=True))
        except Exception as error:  # every one is raised again below
            answers.put(error)

    Thread(target=ask, name="first answer", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise httpx.ConnectTimeout(f"nothing came within {seconds:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def md5_of(path: Path) -> str:
    """Hex md5 of a file: the only checksum that Keras publishes for these."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
