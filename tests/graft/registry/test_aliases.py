"""Aliases point at versions that exist."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from graft import tables
from graft.errors import Conflict, InvalidInput, NotFound
from graft.registry import Registry
from tests.graft.registry.versions import publish


def succeeds(start: threading.Barrier, call: Callable[[], None]) -> bool:
    start.wait()
    try:
        call()
    except (Conflict, NotFound):
        return False
    return True


class TestAliases:
    @pytest.fixture
    def registry(self, root: Path, either_engine: Engine) -> Registry:
        registry = Registry(root, either_engine)
        publish(registry, "signs", 1, 2)
        return registry

    def test_stable_follows_the_newest_until_it_is_moved(self, registry: Registry) -> None:
        assert registry.aliases("signs") == {"stable": 2}
        publish(registry, "signs", 3)
        assert registry.resolve("signs") == registry.resolve("signs", alias="stable") == 3
        registry.set_alias("signs", "stable", 1)
        publish(registry, "signs", 4)
        assert registry.resolve("signs") == 1
        assert registry.resolve("signs", version=4) == 4
        assert registry.aliases("signs") == {"stable": 1}

    def test_an_alias_can_move(self, registry: Registry) -> None:
        registry.set_alias("signs", "canary", 2)
        registry.set_alias("signs", "canary", 1)
        assert registry.resolve("signs", alias="canary") == 1
        assert registry.aliases("signs") == {"canary": 1, "stable": 2}

    def test_what_may_answer_for_an_alias(self, registry: Registry) -> None:
        assert registry.candidates("signs") == [2, 1]
        registry.set_alias("signs", "canary", 1)
        assert registry.candidates("signs", "canary") == [1]
        registry.set_alias("signs", "stable", 1)
        assert registry.candidates("signs", "stable") == [1]
        with pytest.raises(NotFound, match="'signs' has canary, stable; received 'blue'"):
            registry.candidates("signs", "blue")
        for model in ("animals", "no\0name"):
            with pytest.raises(NotFound, match="there are vgg16, signs; received"):
                registry.candidates(model)
            with pytest.raises(NotFound, match="there are vgg16, signs; received"):
                registry.resolve(model, alias="canary")

    def test_an_alias_points_at_something(self, registry: Registry) -> None:
        with pytest.raises(NotFound, match="'signs' has 1, 2; received version 9"):
            registry.set_alias("signs", "canary", 9)
        with pytest.raises(InvalidInput):
            registry.set_alias("signs", "Canary", 1)
        with pytest.raises(NotFound):
            registry.aliases("animals")
        assert registry.aliases("signs") == {"stable": 2}

    def test_a_version_that_an_alias_was_set_to_stays(self, registry: Registry) -> None:
        registry.set_alias("signs", "canary", 2)
        with pytest.raises(Conflict, match=r"canary of 'signs' points at version 2\. Point the alias at another"):
            registry.delete("signs", 2)
        registry.verify("signs", 2)
        registry.set_alias("signs", "canary", 1)
        registry.delete("signs", 2)
        assert registry.aliases("signs") == {"canary": 1, "stable": 1}

    def test_an_alias_is_removed_and_stable_follows_again(self, registry: Registry) -> None:
        registry.set_alias("signs", "stable", 1)
        registry.set_alias("signs", "canary", 1)
        registry.delete_alias("signs", "stable")
        assert registry.aliases("signs") == {"canary": 1, "stable": 2}
        registry.delete_alias("signs", "canary")
        registry.delete("signs", 1)
        publish(registry, "signs", 3)
        assert registry.aliases("signs") == {"stable": 3}

    def test_what_is_not_set_cannot_be_removed(self, registry: Registry) -> None:
        for alias in ("stable", "canary", "No Name"):
            with pytest.raises(NotFound, match=f"'signs' has none; received '{alias}'"):
                registry.delete_alias("signs", alias)
        with pytest.raises(NotFound, match="there are vgg16, signs; received 'animals'"):
            registry.delete_alias("animals", "stable")
        with pytest.raises(Conflict, match="built in"):
            registry.delete_alias("vgg16", "stable")

    def test_aliases_go_with_their_model(self, registry: Registry) -> None:
        publish(registry, "animals", 1)
        registry.set_alias("animals", "canary", 1)
        registry.set_alias("signs", "stable", 1)
        registry.delete("signs")
        publish(registry, "signs", 3)
        assert registry.aliases("signs") == {"stable": 3}
        assert registry.aliases("animals") == {"canary": 1, "stable": 1}

    def test_no_alias_is_left_pointing_at_nothing(self, registry: Registry, either_engine: Engine) -> None:
        with either_engine.begin() as connection:
            reserved = [
                {"model": "signs", "version": n, "job_id": f"job_{n}", "fence": 1, "created_at": 0} for n in (1, 2)
            ]
            connection.execute(insert(tables.model_versions), reserved)
        with ThreadPoolExecutor(2) as pool:
            for version in range(3, 23):
                publish(registry, "signs", version)
                start = threading.Barrier(2)

                deleted = pool.submit(succeeds, start, partial(registry.delete, "signs", version))
                aimed = pool.submit(succeeds, start, partial(registry.set_alias, "signs", "canary", version))
                assert deleted.result() != aimed.result()
                if aimed.result():
                    assert registry.resolve("signs", alias="canary") == version
