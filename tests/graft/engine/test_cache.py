"""Each thing is loaded once, and what is used least goes first."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from graft.engine.cache import Cache, Cached
from tests.graft.engine.preparing import DEADLINE, Watched


class Shelf:
    """Loads texts as long as their keys; holds up those that have a gate."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.broken: set[str] = set()

    def __call__(self, key: str) -> str:
        self.loaded.append(key)
        if key in self.gates:
            assert self.gates[key].wait(DEADLINE)
        if key in self.broken:
            raise OSError(f"{key} cannot be read")
        return key * 10


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def cache(shelf: Shelf, metrics: Watched) -> Cache[str, str]:
    """With room for three texts of ten bytes."""
    return Cache(shelf, len, memory_bytes=30, metrics=metrics)


def of(cached: Cached[str]) -> str:
    return cached.future.result(DEADLINE)


def test_it_is_loaded_once_however_many_ask(cache: Cache[str, str], shelf: Shelf) -> None:
    callers = 16
    gate = shelf.gates["a"] = threading.Event()
    start = threading.Barrier(callers + 1)

    def ask() -> str:
        start.wait(DEADLINE)
        cached = cache.fetch("a")
        start.wait(DEADLINE)
        return of(cached)

    with ThreadPoolExecutor(callers) as pool:
        answers = [pool.submit(ask) for _ in range(callers)]
        start.wait(DEADLINE)
        start.wait(DEADLINE)  # all of them wait for it
        assert "a" not in cache
        gate.set()
        assert {answer.result() for answer in answers} == {"a" * 10}
    assert shelf.loaded == ["a"]
    assert "a" in cache


def test_one_that_hangs_holds_up_nobody_else(cache: Cache[str, str], shelf: Shelf) -> None:
    shelf.gates["slow"] = threading.Event()
    slow = cache.fetch("slow")
    assert of(cache.fetch("a")) == "a" * 10
    assert not slow.ended(within=0)
    shelf.gates["slow"].set()
    assert slow.ended(within=DEADLINE)


def test_the_least_recently_used_goes_first(cache: Cache[str, str], shelf: Shelf, metrics: Watched) -> None:
    for key in "abcad":
        of(cache.fetch(key))
    assert cache.there() == ["c", "a", "d"]
    assert (metrics.in_memory, metrics.evicted_models) == ((3, 30), 1)
    of(cache.fetch("b"))
    assert shelf.loaded == ["a", "b", "c", "d", "b"]
    assert cache.there() == ["a", "d", "b"]


def test_a_large_one_makes_as_much_room_as_it_needs(cache: Cache[str, str], metrics: Watched) -> None:
    for key in ("a", "b", "cc"):
        of(cache.fetch(key))
    assert cache.there() == ["b", "cc"]
    of(cache.fetch("large"))
    assert cache.there() == ["large"]
    assert metrics.in_memory == (1, 50)
    of(cache.fetch("a"))
    assert cache.there() == ["a"]


def test_what_is_being_loaded_is_not_let_go(cache: Cache[str, str], shelf: Shelf) -> None:
    shelf.gates["slow"] = threading.Event()
    slow = cache.fetch("slow")
    for key in "abcd":
        of(cache.fetch(key))
    assert cache.there() == ["b", "c", "d"]
    shelf.gates["slow"].set()
    of(slow)
    assert cache.there() == ["slow"]
    assert shelf.loaded.count("slow") == 1


def test_what_failed_is_tried_again(cache: Cache[str, str], shelf: Shelf, metrics: Watched) -> None:
    shelf.broken.add("a")
    for _ in range(2):
        with pytest.raises(OSError, match="a cannot be read"):
            of(cache.fetch("a"))
    assert "a" not in cache
    shelf.broken.clear()
    assert of(cache.fetch("a")) == "a" * 10
    assert (shelf.loaded, metrics.in_memory) == (["a"] * 3, (1, 10))


def test_what_is_forgotten_is_freed_and_no_eviction(cache: Cache[str, str], metrics: Watched) -> None:
    of(cache.fetch("a"))
    cache.forget("a")
    cache.forget("never there")
    assert cache.there() == []
    assert (metrics.in_memory, metrics.evicted_models) == ((0, 0), 0)


def test_what_is_being_loaded_is_not_forgotten(cache: Cache[str, str], shelf: Shelf) -> None:
    shelf.gates["a"] = threading.Event()
    cached = cache.fetch("a")
    cache.forget("a")
    assert cache.fetch("a") is cached
    shelf.gates["a"].set()
    of(cached)
    assert cache.there() == ["a"]
