"""Which version answers, while versions come, go, and break."""

import errno
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from graft.engine.models import LOOK_SECONDS, RETRY_SECONDS, LoadedModel, Models
from graft.errors import CorruptVersion, DiskFull, NotFound, Unavailable
from graft.registry import METRICS, MODEL, WEIGHTS, ModelCard, Registry
from graft.registry.manifest import MANIFEST
from tests.graft.engine.preparing import BYTES_A_MODEL, DEADLINE, Prepare, Watched, assert_whole
from tests.graft.registry.versions import publish


class Clock:
    """It stands until somebody moves it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def models(registry: Registry, prepare: Prepare, metrics: Watched, clock: Clock) -> Models:
    """With all the patience that a test has."""
    return models_of(registry, prepare, metrics, clock=clock)


@pytest.fixture
def hasty(registry: Registry, prepare: Prepare, metrics: Watched) -> Models:
    """Callers wait for nothing that another version can answer."""
    return models_of(registry, prepare, metrics, patience=0)


class Meddled(Registry):
    """Notes what is loaded, and lets things happen just before and just after a version is read. Its disk may fail."""

    def __init__(self, root: Path, engine: Engine) -> None:
        super().__init__(root, engine)
        self.read: list[int] = []
        self.before: dict[int, Callable[[], None]] = {}
        self.after: dict[int, Callable[[], None]] = {}
        self.unreadable = ""  # a model whose folder cannot be looked at

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        if model == self.unreadable:
            raise OSError(errno.EIO, "the disk")
        return super().resolve(model, version=version, alias=alias)

    def load(self, model: str, version: int) -> tuple[ModelCard, dict[str, np.ndarray]]:
        self.read.append(version)
        self.before.get(version, lambda: None)()
        try:
            return super().load(model, version)
        finally:
            self.after.get(version, lambda: None)()


@pytest.fixture
def meddled(root: Path, engine: Engine) -> Meddled:
    return Meddled(root, engine)


def models_of(
    registry: Registry,
    prepare: Prepare,
    metrics: Watched,
    patience: float = DEADLINE,
    clock: Callable[[], float] = time.monotonic,
) -> Models:
    size = 10 * BYTES_A_MODEL
    return Models(registry, memory_bytes=size, prepare=prepare, metrics=metrics, patience=patience, clock=clock)


def answers(models: Models, **asked: object) -> int:
    version, loaded = models.get("signs", **asked)  # type: ignore[arg-type]
    assert_whole("signs", version, loaded)
    return version


def damage(root: Path, version: int, name: str = WEIGHTS) -> Callable[[], None]:
    """Cut a file of a version of `signs`; gives what restores it from a copy."""
    path = root / "signs" / str(version) / name
    copy = path.with_name(f"{name}.copy")
    shutil.copy2(path, copy)
    path.write_bytes(path.read_bytes()[:-1])

    def restore() -> None:
        copy.replace(path)

    return restore


class TestSwapping:
    def test_a_version_is_loaded_on_first_use_and_stays(
        self, models: Models, registry: Registry, prepare: Prepare, metrics: Watched
    ) -> None:
        publish(registry, "signs", 1)
        assert prepare.made == []
        first = models.get("signs")[1]
        assert (
            models.get("signs") == models.get("signs", version=1) == models.get("signs", alias="stable") == (1, first)
        )
        assert (prepare.made, metrics.loads) == ([("signs", 1)], 1)
        assert metrics.in_memory == (1, BYTES_A_MODEL)

    def test_it_is_loaded_once_however_many_ask(self, models: Models, registry: Registry, prepare: Prepare) -> None:
        publish(registry, "signs", 1)
        ready = prepare.hold(1)
        with ThreadPoolExecutor(8) as pool:
            asking: list[Future[tuple[int, LoadedModel]]] = [pool.submit(models.get, "signs") for _ in range(8)]
            assert prepare.begun[1].wait(DEADLINE)
            ready.set()
            assert len({id(each.result()[1]) for each in asking}) == 1
        assert prepare.made == [("signs", 1)]

    def test_a_new_version_answers_as_soon_as_it_is_published(self, models: Models, registry: Registry) -> None:
        for version in (1, 2, 3):
            publish(registry, "signs", version)
            assert answers(models) == version
        registry.set_alias("signs", "stable", 1)
        assert answers(models) == 1
        registry.set_alias("signs", "canary", 2)
        assert answers(models, alias="canary") == 2
        registry.delete_alias("signs", "stable")
        assert answers(models) == 3
        assert answers(models, version=2) == 2

    def test_the_old_one_answers_until_the_new_one_is_ready(
        self, hasty: Models, registry: Registry, prepare: Prepare
    ) -> None:
        publish(registry, "signs", 1)
        assert answers(hasty) == 1
        publish(registry, "signs", 2)
        ready = prepare.hold(2)
        assert answers(hasty) == 1
        assert prepare.begun[2].wait(DEADLINE)
        assert answers(hasty) == 1
        with ThreadPoolExecutor(1) as pool:
            named = pool.submit(answers, hasty, version=2)  # it waits, as nothing else can answer for it
            ready.set()
            assert named.result() == 2
        assert answers(hasty) == 2
        assert prepare.made == [("signs", 1), ("signs", 2)]

    def test_going_back_is_cheap(self, models: Models, registry: Registry, prepare: Prepare) -> None:
        publish(registry, "signs", 1, 2)
        registry.set_alias("signs", "stable", 1)
        assert answers(models) == 1
        registry.set_alias("signs", "stable", 2)
        assert answers(models) == 2
        registry.set_alias("signs", "stable", 1)
        assert answers(models) == 1
        assert prepare.made == [("signs", 1), ("signs", 2)]

    def test_nothing_waits_for_ever(
        self, models: Models, registry: Registry, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("graft.engine.models.LOADING_SECONDS", 0.0)
        publish(registry, "signs", 1)
        ready = prepare.hold(1)
        with pytest.raises(Unavailable, match=r"'signs' version 1 still is\. Ask again soon") as slow:
            models.get("signs")
        assert slow.value.retry_after == 5
        ready.set()
        monkeypatch.undo()
        assert answers(models) == 1
        assert prepare.made == [("signs", 1)]

    def test_what_does_not_exist_is_not_found(self, models: Models, registry: Registry) -> None:
        with pytest.raises(NotFound, match="received 'signs'"):
            models.get("signs")
        publish(registry, "signs", 1)
        for asked in ({"version": 2}, {"alias": "canary"}):
            with pytest.raises(NotFound, match=r"'signs' has 1|'signs' has stable"):
                answers(models, **asked)
        with pytest.raises(NotFound):
            models.get("../signs", version=1)


class TestDeleting:
    def test_a_deleted_version_stops_answering(self, models: Models, registry: Registry, metrics: Watched) -> None:
        publish(registry, "signs", 1, 2)
        assert answers(models) == 2
        registry.delete("signs", 2)
        with pytest.raises(NotFound):
            models.get("signs", version=2)
        assert metrics.in_memory == (0, 0)
        assert answers(models) == 1
        registry.delete("signs")
        with pytest.raises(NotFound):
            models.get("signs")
        assert (metrics.in_memory, metrics.evicted_models) == ((0, 0), 0)

    def test_a_deleted_version_stands_in_for_nothing(
        self, hasty: Models, registry: Registry, prepare: Prepare, metrics: Watched
    ) -> None:
        publish(registry, "signs", 1, 2)
        assert answers(hasty) == 2
        registry.delete("signs", 2)
        ready = prepare.hold(1)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(answers, hasty)
            assert prepare.begun[1].wait(DEADLINE)
            ready.set()
            assert asking.result() == 1
        assert metrics.in_memory == (1, BYTES_A_MODEL)

    def test_nor_does_it_where_the_next_one_is_unfit(self, models: Models, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1, 2)
        assert answers(models) == 2
        registry.delete("signs", 2)
        damage(root, 1)
        with pytest.raises(CorruptVersion, match="version 1"):
            models.get("signs")

    def test_an_alias_whose_version_was_taken_away_answers_nothing_else(
        self, models: Models, registry: Registry, root: Path
    ) -> None:
        publish(registry, "signs", 1, 2)
        registry.set_alias("signs", "canary", 1)
        assert answers(models, alias="canary") == 1
        registry.set_alias("signs", "canary", 2)
        shutil.rmtree(root / "signs" / "2")  # past the registry, which would have refused
        with pytest.raises(NotFound, match="'signs' has 1; received version 2"):
            models.get("signs", alias="canary")

    def test_a_version_that_goes_while_it_is_loaded(self, meddled: Meddled, prepare: Prepare, metrics: Watched) -> None:
        models = models_of(meddled, prepare, metrics)
        publish(meddled, "signs", 1, 2)
        meddled.before[2] = partial(meddled.delete, "signs", 2)
        assert answers(models) == 1
        assert models.quarantined("signs") == {}

    def test_what_is_kept_of_it_goes_when_any_model_is_loaded_or_looked_at(
        self, models: Models, registry: Registry, root: Path, metrics: Watched, clock: Clock
    ) -> None:
        publish(registry, "signs", 1, 2)
        publish(registry, "animals", 1)
        damage(root, 2)
        assert answers(models) == 1
        registry.delete("signs", 2)
        clock.seconds += LOOK_SECONDS
        models.get("animals")
        assert not metrics.in_quarantine("signs", 2)
        assert metrics.in_memory == (2, 2 * BYTES_A_MODEL)
        registry.delete("signs")
        models.quarantined("animals")  # so soon again it would cost too much
        assert metrics.in_memory == (2, 2 * BYTES_A_MODEL)
        clock.seconds += LOOK_SECONDS
        models.quarantined("animals")
        assert (metrics.in_memory, metrics.evicted_models) == ((1, BYTES_A_MODEL), 0)

    def test_a_disk_that_fails_says_nothing_of_what_was_deleted(
        self, meddled: Meddled, prepare: Prepare, metrics: Watched, clock: Clock
    ) -> None:
        models = models_of(meddled, prepare, metrics, clock=clock)
        publish(meddled, "signs", 1)
        publish(meddled, "animals", 1)
        assert answers(models) == 1
        meddled.unreadable = "signs"
        clock.seconds += LOOK_SECONDS
        models.get("animals")
        assert metrics.in_memory == (2, 2 * BYTES_A_MODEL)


class TestQuarantine:
    @pytest.mark.parametrize("name", [WEIGHTS, MODEL, MANIFEST])
    def test_the_previous_version_goes_on(
        self, models: Models, registry: Registry, root: Path, prepare: Prepare, metrics: Watched, name: str
    ) -> None:
        publish(registry, "signs", 1)
        assert answers(models) == 1
        publish(registry, "signs", 2)
        restore = damage(root, 2, name)
        assert answers(models) == answers(models) == 1
        assert list(models.quarantined("signs")) == [2]
        assert f"{name} of 'signs' version 2 does not" in models.quarantined("signs")[2]
        assert metrics.in_quarantine("signs", 2)
        with pytest.raises(CorruptVersion, match=name):
            models.get("signs", version=2)
        restore()
        assert answers(models) == 2
        assert models.quarantined("signs") == {}
        assert not metrics.in_quarantine("signs", 2)
        assert prepare.made == [("signs", 1), ("signs", 2)]

    def test_a_damaged_version_is_not_read_again_and_again(
        self, meddled: Meddled, root: Path, prepare: Prepare, metrics: Watched
    ) -> None:
        models = models_of(meddled, prepare, metrics)
        publish(meddled, "signs", 1)
        damage(root, 1)
        for _ in range(3):
            with pytest.raises(CorruptVersion):
                models.get("signs")
        assert meddled.read == [1]
        (root / "signs" / "1" / METRICS).write_bytes(b"changed")
        for _ in range(3):
            with pytest.raises(CorruptVersion):
                models.get("signs", version=1)
        assert meddled.read == [1, 1]

    def test_a_file_that_is_restored_while_it_is_read(
        self, meddled: Meddled, root: Path, prepare: Prepare, metrics: Watched
    ) -> None:
        models = models_of(meddled, prepare, metrics)
        publish(meddled, "signs", 1)
        meddled.after[1] = damage(root, 1)
        with pytest.raises(CorruptVersion):
            models.get("signs")
        meddled.after.clear()
        assert answers(models) == 1

    def test_a_version_that_cannot_warm_up(
        self, models: Models, registry: Registry, prepare: Prepare, metrics: Watched
    ) -> None:
        publish(registry, "signs", 1, 2)
        prepare.failing[2] = CorruptVersion("A version must answer numbers.")
        assert answers(models) == answers(models) == 1  # although none had answered before
        assert prepare.made == [("signs", 2), ("signs", 1)]
        with pytest.raises(CorruptVersion, match=r"^A version must answer numbers\.$"):
            models.get("signs", version=2)
        assert metrics.in_quarantine("signs", 2)
        assert metrics.loads == 1
        publish(registry, "signs", 3)
        assert answers(models) == 3

    def test_an_alias_that_was_moved_to_a_damaged_version_keeps_the_one_it_had(
        self, models: Models, registry: Registry, root: Path, prepare: Prepare, metrics: Watched
    ) -> None:
        publish(registry, "signs", 1, 2, 3)
        registry.set_alias("signs", "canary", 1)
        assert answers(models, alias="canary") == 1
        registry.set_alias("signs", "canary", 3)
        damage(root, 3)
        assert answers(models, alias="canary") == 1
        afresh = models_of(registry, prepare, metrics)
        with pytest.raises(CorruptVersion, match="version 3"):  # nobody said that 2 would do
            afresh.get("signs", alias="canary")
        assert answers(afresh) == 2

    def test_an_alias_that_is_set_anew_has_no_past(self, models: Models, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1, 2)
        registry.set_alias("signs", "canary", 1)
        assert answers(models, alias="canary") == 1
        registry.delete_alias("signs", "canary")
        with pytest.raises(NotFound):
            models.get("signs", alias="canary")
        registry.set_alias("signs", "canary", 2)
        damage(root, 2)
        with pytest.raises(CorruptVersion, match="version 2"):
            models.get("signs", alias="canary")

    def test_the_one_before_is_loaded_again_where_it_was_let_go(
        self, registry: Registry, root: Path, prepare: Prepare, metrics: Watched
    ) -> None:
        models = Models(registry, memory_bytes=BYTES_A_MODEL, prepare=prepare, metrics=metrics)
        publish(registry, "signs", 1, 2)
        publish(registry, "animals", 1)
        registry.set_alias("signs", "stable", 1)
        assert answers(models) == 1
        models.get("animals")
        registry.set_alias("signs", "stable", 2)
        damage(root, 2)
        assert answers(models) == 1
        assert prepare.made == [("signs", 1), ("animals", 1), ("signs", 1)]

    def test_what_is_in_memory_is_not_damaged_by_the_disk(self, models: Models, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        assert answers(models) == 1
        damage(root, 1)
        damage(root, 1, MANIFEST)
        assert answers(models) == answers(models, version=1) == 1
        assert models.quarantined("signs") == {}

    def test_where_nothing_is_fit_the_newest_says_why(self, models: Models, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1, 2)
        damage(root, 1)
        damage(root, 2, MODEL)
        with pytest.raises(CorruptVersion, match=r"model\.json of 'signs' version 2"):
            models.get("signs")
        assert list(models.quarantined("signs")) == [1, 2]
        registry.delete("signs", 2)
        assert list(models.quarantined("signs")) == [1]

    def test_a_half_made_folder_is_passed_by(self, models: Models, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1, 2)
        (root / "signs" / "2" / MANIFEST).unlink()
        assert answers(models) == 1
        assert models.quarantined("signs") == {}

    def test_a_deleted_version_leaves_it(
        self, models: Models, registry: Registry, root: Path, metrics: Watched
    ) -> None:
        publish(registry, "signs", 1)
        damage(root, 1)
        with pytest.raises(CorruptVersion):
            models.get("signs")
        registry.delete("signs", 1)
        with pytest.raises(NotFound):
            models.get("signs")
        assert not metrics.in_quarantine("signs", 1)


TRANSIENT = [DiskFull("full"), Unavailable("busy"), OSError(errno.EIO, "the disk"), MemoryError(), RuntimeError("odd")]


class TestAccidents:
    """What is not a version's fault is no quarantine."""

    @pytest.mark.parametrize("problem", TRANSIENT, ids=repr)
    def test_it_is_tried_again_after_a_while(
        self, models: Models, registry: Registry, prepare: Prepare, clock: Clock, problem: Exception
    ) -> None:
        publish(registry, "signs", 1, 2)
        prepare.failing[2] = problem
        for asked in ({}, {}, {"version": 2}):
            with pytest.raises(Unavailable, match=r"'signs' version 2 could not be.* Ask again in 10 s") as not_now:
                answers(models, **asked)
            assert not_now.value.retry_after == RETRY_SECONDS
        assert models.quarantined("signs") == {}
        prepare.failing.clear()
        clock.seconds = RETRY_SECONDS - 0.5
        with pytest.raises(Unavailable) as soon:
            models.get("signs")
        assert soon.value.retry_after == 1
        assert prepare.made == [("signs", 2)]
        clock.seconds = RETRY_SECONDS
        assert answers(models) == 2
        assert prepare.made == [("signs", 2)] * 2

    @pytest.mark.parametrize("problem", TRANSIENT, ids=repr)
    def test_the_previous_version_goes_on_meanwhile(
        self, models: Models, registry: Registry, prepare: Prepare, clock: Clock, problem: Exception
    ) -> None:
        publish(registry, "signs", 1)
        assert answers(models) == 1
        publish(registry, "signs", 2)
        prepare.failing[2] = problem
        assert [answers(models) for _ in range(4)] == [1] * 4  # and nobody waits for the next attempt
        assert prepare.made == [("signs", 1), ("signs", 2)]
        prepare.failing.clear()
        clock.seconds = RETRY_SECONDS
        assert answers(models) == 2

    def test_whoever_has_a_version_keeps_it(self, registry: Registry, prepare: Prepare, metrics: Watched) -> None:
        models = Models(registry, memory_bytes=BYTES_A_MODEL, prepare=prepare, metrics=metrics)
        publish(registry, "signs", 1)
        publish(registry, "animals", 1)
        held = models.get("signs")
        models.get("animals")
        assert (metrics.in_memory, metrics.evicted_models) == ((1, BYTES_A_MODEL), 1)
        registry.delete("signs")
        assert_whole("signs", *held)
