"""A reader sees all of a version or nothing."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select

from graft import tables
from graft.errors import CorruptVersion, NotFound
from graft.registry import Registry
from graft.registry.manifest import MANIFEST
from tests.graft.registry.versions import files_under, publish, stage


class TestDeleting:
    def test_a_version_goes_and_the_others_stay(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1, 2)
        registry.delete("signs", 2)
        assert registry.versions("signs") == [1]
        registry.delete("signs", 1)
        assert registry.models() == []
        assert files_under(root) == set()
        assert not (root / "signs").exists()

    def test_reservations_stay(self, registry: Registry, engine: Engine) -> None:
        with engine.begin() as connection:
            row = {"model": "signs", "version": 1, "job_id": "job_1", "fence": 1, "created_at": 0}
            connection.execute(insert(tables.model_versions).values(row))
        publish(registry, "signs", 1)
        registry.delete("signs")
        with engine.connect() as connection:
            assert connection.execute(select(tables.model_versions.c.version)).scalars().all() == [1]

    def test_what_is_not_there_cannot_be_deleted(self, registry: Registry) -> None:
        with pytest.raises(NotFound, match="there are vgg16; received 'signs'"):
            registry.delete("signs")
        publish(registry, "signs", 1)
        with pytest.raises(NotFound, match="'signs' has 1; received version 2"):
            registry.delete("signs", 2)

    def test_a_damaged_version_can_be_deleted(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        (root / "signs" / "1" / MANIFEST).unlink()
        registry.delete("signs", 1)
        assert not (root / "signs").exists()

    def test_a_reader_sees_all_or_nothing(self, registry: Registry) -> None:
        stop = threading.Event()

        def read() -> set[str]:
            seen = set()
            while not stop.is_set():
                try:
                    registry.verify("signs", 1)
                    seen.add("all")
                except NotFound:
                    seen.add("nothing")
                except CorruptVersion as error:
                    seen.add(str(error))
            return seen

        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(read)
            for _ in range(20):
                publish(registry, "signs", 1)
                registry.delete("signs")
            stop.set()
        assert reader.result() <= {"all", "nothing"}


class TestSweeping:
    def test_only_what_is_old_goes(self, registry: Registry, root: Path, caplog: pytest.LogCaptureFixture) -> None:
        publish(registry, "signs", 1, 2)
        (root / "signs" / "2" / MANIFEST).write_text("{}")
        old, fresh = stage(registry, "signs", 3), stage(registry, "signs", 4)
        os.utime(old, (0, 0))
        half_deleted = root / ".trash" / "abc"
        half_deleted.mkdir(parents=True)
        (half_deleted / "weights.safetensors").write_bytes(b"left")
        registry.sweep()
        assert not old.exists()
        assert not half_deleted.exists()
        registry.publish(fresh, "signs", 4)
        assert registry.versions("signs") == [1, 4]
        assert (
            "not served: Every file of a version must match its manifest; manifest.json of 'signs' version 2"
            in caplog.text
        )

    def test_an_empty_registry_is_swept_without_being_made(self, registry: Registry, root: Path) -> None:
        registry.sweep()
        assert not root.exists()
