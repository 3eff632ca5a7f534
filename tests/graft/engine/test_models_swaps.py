"""A hundred new versions, one after the other, under load."""

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from graft.engine.models import Models
from graft.registry import WEIGHTS, Registry
from tests.graft.engine.preparing import BYTES_A_MODEL, DEADLINE, Prepare, Watched, assert_whole
from tests.graft.registry.versions import publish

SWAPS = 100
CALLERS = 8
BEFORE = 4  # versions that stay in the registry
DAMAGED = set(range(10, SWAPS, 10))


@pytest.fixture(autouse=True)
def many_turns() -> Iterator[None]:
    """Threads take turns fifty times as often as usual: more happens at once, and nobody waits for a turn for long."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def trained(root: Path, engine: Engine) -> Callable[[int], None]:
    """Lets a version appear in the registry, as publishing does with its last step. Every tenth one is damaged."""
    aside = root.with_name("aside")
    publish(Registry(aside, engine), "signs", *range(1, SWAPS + 1))
    for version in DAMAGED:
        path = aside / "signs" / str(version) / WEIGHTS
        path.write_bytes(path.read_bytes()[:-1])
    (root / "signs").mkdir(parents=True)

    def appear(version: int) -> None:
        (aside / "signs" / str(version)).rename(root / "signs" / str(version))

    return appear


@pytest.mark.parametrize("patience", [0.0, DEADLINE])
def test_every_answer_is_of_one_version_that_is_there(
    registry: Registry, trained: Callable[[int], None], prepare: Prepare, metrics: Watched, patience: float
) -> None:
    models = Models(registry, memory_bytes=3 * BYTES_A_MODEL, prepare=prepare, metrics=metrics, patience=patience)
    trained(1)
    newest, over = 1, threading.Event()

    def ask() -> list[int]:
        answered = []
        while not over.is_set():
            oldest = newest - BEFORE
            version, loaded = models.get("signs")
            assert version >= oldest
            assert_whole("signs", version, loaded)
            answered.append(version)
        return answered

    with ThreadPoolExecutor(CALLERS) as pool:
        asking = [pool.submit(ask) for _ in range(CALLERS)]
        try:
            for version in range(2, SWAPS + 1):
                trained(version)
                newest = version
                while models.get("signs")[0] != version and version not in DAMAGED:
                    pass
                if version > BEFORE:
                    registry.delete("signs", version - BEFORE)
        finally:
            over.set()
        for each in asking:
            assert DAMAGED.isdisjoint(each.result())
            if patience:  # then nobody who has seen a new version sees an old one again
                assert each.result() == sorted(each.result())
    assert models.get("signs")[0] == SWAPS
    assert {version for _, version in prepare.made} == set(range(1, SWAPS + 1)) - DAMAGED
    assert metrics.most_bytes <= 3 * BYTES_A_MODEL
