"""Each thing is loaded once, and what is used least goes first."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from graft.engine.memory import Loading, Memory
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
def memory(shelf: Shelf, metrics: Watched) -> Memory[str, str]:
    """With room for three texts of ten bytes."""
    return Memory(shelf, len, memory_bytes=30, metrics=metrics)


def of(loading: Loading[str]) -> str:
    return loading.future.result(DEADLINE)


def test_it_is_loaded_once_however_many_ask(memory: Memory[str, str], shelf: Shelf) -> None:
    callers = 16
    gate = shelf.gates["a"] = threading.Event()
    start = threading.Barrier(callers + 1)

    def ask() -> str:
        start.wait(DEADLINE)
        loading = memory.fetch("a")
        start.wait(DEADLINE)
        return of(loading)

    with ThreadPoolExecutor(callers) as pool:
        answers = [pool.submit(ask) for _ in range(callers)]
        start.wait(DEADLINE)
        start.wait(DEADLINE)  # all of them wait for it
        assert "a" not in memory
        gate.set()
        assert {answer.result() for answer in answers} == {"a" * 10}
    assert shelf.loaded == ["a"]
    assert "a" in memory


def test_one_that_hangs_holds_up_nobody_else(memory: Memory[str, str], shelf: Shelf) -> None:
    shelf.gates["slow"] = threading.Event()
    slow = memory.fetch("slow")
    assert of(memory.fetch("a")) == "a" * 10
    assert not slow.ended(within=0)
    shelf.gates["slow"].set()
    assert slow.ended(within=DEADLINE)


def test_the_least_recently_used_goes_first(memory: Memory[str, str], shelf: Shelf, metrics: Watched) -> None:
    for key in "abcad":
        of(memory.fetch(key))
    assert memory.there() == ["c", "a", "d"]
    assert (metrics.in_memory, metrics.evicted_models) == ((3, 30), 1)
    of(memory.fetch("b"))
    assert shelf.loaded == ["a", "b", "c", "d", "b"]
    assert memory.there() == ["a", "d", "b"]


def test_a_large_one_makes_as_much_room_as_it_needs(memory: Memory[str, str], metrics: Watched) -> None:
    for key in ("a", "b", "cc"):
        of(memory.fetch(key))
    assert memory.there() == ["b", "cc"]
    of(memory.fetch("large"))
    assert memory.there() == ["large"]
    assert metrics.in_memory == (1, 50)
    of(memory.fetch("a"))
    assert memory.there() == ["a"]


def test_what_is_being_loaded_is_not_let_go(memory: Memory[str, str], shelf: Shelf) -> None:
    shelf.gates["slow"] = threading.Event()
    slow = memory.fetch("slow")
    for key in "abcd":
        of(memory.fetch(key))
    assert memory.there() == ["b", "c", "d"]
    shelf.gates["slow"].set()
    of(slow)
    assert memory.there() == ["slow"]
    assert shelf.loaded.count("slow") == 1


def test_what_failed_is_tried_again(memory: Memory[str, str], shelf: Shelf, metrics: Watched) -> None:
    shelf.broken.add("a")
    for _ in range(2):
        with pytest.raises(OSError, match="a cannot be read"):
            of(memory.fetch("a"))
    assert "a" not in memory
    shelf.broken.clear()
    assert of(memory.fetch("a")) == "a" * 10
    assert (shelf.loaded, metrics.in_memory) == (["a"] * 3, (1, 10))


def test_what_is_forgotten_is_freed_and_no_eviction(memory: Memory[str, str], metrics: Watched) -> None:
    of(memory.fetch("a"))
    memory.forget("a")
    memory.forget("never there")
    assert memory.there() == []
    assert (metrics.in_memory, metrics.evicted_models) == ((0, 0), 0)


def test_what_is_being_loaded_is_not_forgotten(memory: Memory[str, str], shelf: Shelf) -> None:
    shelf.gates["a"] = threading.Event()
    loading = memory.fetch("a")
    memory.forget("a")
    assert memory.fetch("a") is loading
    shelf.gates["a"].set()
    of(loading)
    assert memory.there() == ["a"]
