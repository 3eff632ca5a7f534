"""Which version answers, while versions come and go."""

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from graft.engine.models import LOOK_SECONDS, LoadedModel, Models
from graft.errors import CorruptVersion, NotFound, Unavailable
from graft.registry import Registry
from tests.graft.engine.meddling import Clock, Meddled, answers, damage, models_of
from tests.graft.engine.preparing import BYTES_A_MODEL, DEADLINE, Prepare, Watched
from tests.graft.registry.versions import publish


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
