"""Loading in a thread: what is said meanwhile, and that it is tried again."""

import logging
import threading
from collections.abc import Iterator

import pytest

from app.warmup import Warmup
from graft.errors import MissingWeights, Unavailable


class Slow:
    """A thing whose start does what the test says, time after time."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = iter(outcomes)
        self.attempts = threading.Semaphore(0)
        self.go = threading.Event()
        self.closed = False

    def start(self) -> None:
        self.attempts.release()
        self.go.wait()
        if outcome := next(self.outcomes):
            raise outcome

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def warm() -> Iterator[list[Warmup[Slow]]]:
    """Put a warm-up in here and its thread is gone after the test."""
    started: list[Warmup[Slow]] = []
    yield started
    for each in started:
        each.close()


def begin(warm: list[Warmup[Slow]], slow: Slow, *, retry_seconds: float = 600) -> Warmup[Slow]:
    warmup = Warmup(lambda: slow, retry_seconds=retry_seconds)
    warm.append(warmup)
    warmup.begin()
    slow.attempts.acquire()
    return warmup


def until_settled(warmup: Warmup[Slow], *, ready: bool) -> None:
    while (warmup.obstacle() is None) != ready:
        pass


def test_it_says_that_it_is_loading_and_then_has_it(warm: list[Warmup[Slow]]) -> None:
    slow = Slow(None)
    warmup = begin(warm, slow)
    with pytest.raises(Unavailable, match="loading") as caught:
        warmup.get()
    assert not isinstance(caught.value, MissingWeights)
    slow.go.set()
    until_settled(warmup, ready=True)
    assert warmup.get() is slow
    warmup.close()
    assert slow.closed


def test_what_is_missing_is_said_and_the_next_question_tries_again(
    warm: list[Warmup[Slow]], caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow(MissingWeights("No trunk. Put it there."), MissingWeights("No trunk. Put it there."), None)
    warmup = begin(warm, slow)
    slow.go.set()
    while not isinstance(warmup.obstacle(), MissingWeights):
        pass
    for _ in range(2):
        with pytest.raises(MissingWeights, match="Put it there"):
            warmup.get()
        slow.attempts.acquire()
    until_settled(warmup, ready=True)
    assert [record.getMessage() for record in caplog.records] == ["No trunk. Put it there."]


def test_it_tries_again_by_itself(warm: list[Warmup[Slow]]) -> None:
    slow = Slow(MissingWeights("No trunk."), None)
    warmup = begin(warm, slow, retry_seconds=0.01)
    slow.go.set()
    slow.attempts.acquire()
    until_settled(warmup, ready=True)


def test_a_crash_is_logged_and_tried_again(warm: list[Warmup[Slow]], caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow(ZeroDivisionError("odd"), None)
    warmup = begin(warm, slow, retry_seconds=0.01)
    slow.go.set()
    until_settled(warmup, ready=True)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_what_is_ready_only_after_the_end_is_closed(warm: list[Warmup[Slow]]) -> None:
    slow = Slow(None)
    warmup = begin(warm, slow)
    warmup.close()
    slow.go.set()
    while not slow.closed:
        pass
    with pytest.raises(Unavailable):
        warmup.get()
