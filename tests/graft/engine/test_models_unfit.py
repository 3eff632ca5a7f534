"""Which version answers, while others are damaged, cannot warm up, or could not be loaded just now."""

import errno
from pathlib import Path

import pytest

from graft.engine.models import RETRY_SECONDS, Models
from graft.errors import CorruptVersion, DiskFull, NotFound, Unavailable
from graft.registry import METRICS, MODEL, WEIGHTS, Registry
from graft.registry.manifest import MANIFEST
from tests.graft.engine.meddling import Clock, Meddled, answers, damage, models_of
from tests.graft.engine.preparing import BYTES_A_MODEL, Prepare, Watched, assert_whole
from tests.graft.registry.versions import publish


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
