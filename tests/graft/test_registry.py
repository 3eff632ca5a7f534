"""The registry directory: what exists, what is damaged, and what happens when two things happen at once."""

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, select

from graft import tables
from graft.database import connect
from graft.errors import Conflict, CorruptVersion, DiskFull, InvalidInput, NotFound
from graft.registry import ModelCard, Parameter, Registry, check_name, check_trainable, write_version
from graft.registry.manifest import MANIFEST
from graft.registry.version import room
from graft.types import InputKey
from graft.vgg16.layers import HeadSpec

FILES = ["metrics.json", "model.json", "report/confusion_matrix.png", "weights.safetensors"]


def weights_of(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"dense/kernel": rng.standard_normal((4, 3), dtype=np.float32), "dense/bias": np.zeros(3, np.float32)}


def card_of(model: str, version: int, job: str) -> ModelCard:
    return ModelCard(
        model=model,
        version=version,
        created_at=1_795_000_000_000 + version,
        cut="block5_pool",
        tail=(),
        head=HeadSpec(pooling="avg", hidden_units=(), batch_norm=False, dropout=0.0, classes=3),
        classes=("discs", "stripes", "triangles"),
        input=InputKey(preprocessing="none"),
        trunk_digest="d9a2",
        parameters=(
            Parameter(name="dense/kernel", shape=(4, 3), trainable=True, count=12),
            Parameter(name="dense/bias", shape=(3,), trainable=True, count=3),
        ),
        trainable_parameters=15,
        frozen_parameters=14_714_688,
        recipe={"preset": "fine-tuning", "epochs": 2},
        dataset="ds_a",
        dataset_revision="f" * 64,
        job_id=job,
        metrics={"validation": {"accuracy": 0.5}, "test": None},
    )


def stage(registry: Registry, model: str, version: int, job: str = "") -> Path:
    staged = registry.stage(model)
    card = card_of(model, version, job or f"job_{version}")
    metrics = {"history": {"loss": [0.5, float("nan")]}, "test": None}
    write_version(staged, card, weights_of(version), metrics, {"confusion_matrix.png": b"\x89PNG" + bytes(40)})
    return staged


def publish(registry: Registry, model: str, *versions: int) -> None:
    for version in versions:
        registry.publish(stage(registry, model, version), model, version)


def files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'registry.db'}")
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def either_engine(database_url: str) -> Iterator[Engine]:
    """SQLite, and PostgreSQL where it answers."""
    engine = connect(database_url)
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def registry(root: Path, engine: Engine) -> Registry:
    return Registry(root, engine)


class TestNames:
    @given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True))
    def test_a_good_name_is_returned(self, name: str) -> None:
        assert check_name(name) == name

    @pytest.mark.parametrize("name", ["", "Signs", ".signs", "-signs", "a/b", "..", "a b", "signs\n", "é", "a" * 64])
    def test_a_bad_name_is_refused_and_reaches_no_folder(self, registry: Registry, root: Path, name: str) -> None:
        with pytest.raises(InvalidInput, match="A name has 1 to 63"):
            check_name(name)
        with pytest.raises(InvalidInput):
            registry.stage(name)
        assert registry.versions(name) == []
        for call in (registry.card, registry.weights, registry.verify):
            with pytest.raises(NotFound):
                call(name, 1)
        assert not root.exists()

    def test_the_built_in_model_is_left_alone(self, registry: Registry, root: Path) -> None:
        calls: list[Callable[[], object]] = [
            lambda: check_trainable("vgg16"),
            lambda: registry.stage("vgg16"),
            lambda: registry.publish(root, "vgg16", 1),
            lambda: registry.delete("vgg16"),
            lambda: registry.set_alias("vgg16", "canary", 1),
        ]
        for call in calls:
            with pytest.raises(Conflict, match="built in"):
                call()


class TestReading:
    def test_what_was_published_comes_back(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        assert registry.card("signs", 1) == card_of("signs", 1, "job_1")
        assert {name: array.tolist() for name, array in registry.weights("signs", 1).items()} == {
            name: array.tolist() for name, array in weights_of(1).items()
        }
        assert registry.file("signs", 1, "report/confusion_matrix.png").read_bytes().startswith(b"\x89PNG")
        metrics = json.loads(registry.file("signs", 1, "metrics.json").read_text())
        assert metrics == {"history": {"loss": [0.5, None]}, "test": None}
        assert files_under(root / "signs" / "1") == {*FILES, MANIFEST}
        assert files_under(root / ".staging") == set()

    def test_weights_with_strides_are_written_in_order(self, registry: Registry) -> None:
        staged = registry.stage("signs")
        turned = np.arange(12, dtype=np.float64).reshape(3, 4).T
        views = {"dense/kernel": turned, "dense/bias": np.ones(6)[::2]}
        write_version(staged, card_of("signs", 1, "job_1"), views, {}, {})
        registry.publish(staged, "signs", 1)
        weights = registry.weights("signs", 1)
        assert weights["dense/kernel"].dtype == np.float32
        np.testing.assert_array_equal(weights["dense/kernel"], turned)
        np.testing.assert_array_equal(weights["dense/bias"], [1, 1, 1])

    def test_weights_must_be_those_of_the_card(self, registry: Registry) -> None:
        staged, card = registry.stage("signs"), card_of("signs", 1, "job_1")
        with pytest.raises(ValueError, match="The card's parameters"):
            write_version(staged, card, {"dense/kernel": np.zeros((4, 3))}, {}, {})

    def test_another_process_sees_it_at_once(self, registry: Registry, root: Path, engine: Engine) -> None:
        elsewhere = Registry(root, engine)
        assert elsewhere.models() == []
        publish(registry, "signs", 1, 2)
        publish(registry, "animals", 1)
        assert elsewhere.models() == ["animals", "signs"]
        assert elsewhere.versions("signs") == [1, 2]
        assert elsewhere.latest("signs") == 2

    def test_versions_are_ordered_as_numbers(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 2, 10, 9)
        (root / "signs" / "notes.txt").write_text("not a version")
        (root / "signs" / "007").mkdir()
        assert registry.versions("signs") == [2, 9, 10]
        assert registry.latest("signs") == 10

    @pytest.mark.parametrize("name", ["../2/model.json", "/etc/passwd", "report", "manifest.json", "", "./model.json"])
    def test_only_listed_files_are_given_out(self, registry: Registry, name: str) -> None:
        publish(registry, "signs", 1, 2)
        with pytest.raises(NotFound, match=r"has the files metrics\.json, model\.json"):
            registry.file("signs", 1, name)

    def test_what_is_not_there_is_said_with_what_is(self, registry: Registry) -> None:
        publish(registry, "signs", 1, 2)
        with pytest.raises(NotFound, match=r"there are vgg16, signs; received 'sings'"):
            registry.resolve("sings")
        with pytest.raises(NotFound, match=r"'signs' has 1, 2; received version 3"):
            registry.resolve("signs", version=3)
        with pytest.raises(NotFound, match=r"'signs' has stable; received 'canary'"):
            registry.resolve("signs", alias="canary")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Registry, Path]]:
    """A registry with `signs` version 1, and that version's folder, to be damaged and mended again."""
    home = tmp_path_factory.mktemp("damaged")
    engine = connect(f"sqlite:///{home / 'registry.db'}")
    tables.metadata.create_all(engine)
    registry = Registry(home / "registry", engine)
    publish(registry, "signs", 1)
    yield registry, home / "registry" / "signs" / "1"
    engine.dispose()


@contextmanager
def content(path: Path, data: bytes) -> Iterator[None]:
    """The file has other bytes for a while."""
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


class TestDamage:
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from([*FILES, MANIFEST]), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
    def test_any_changed_byte_shows(self, damaged: tuple[Registry, Path], name: str, where: float, flip: int) -> None:
        registry, folder = damaged
        broken = bytearray((folder / name).read_bytes())
        broken[int(where * len(broken))] ^= flip
        with content(folder / name, bytes(broken)), pytest.raises(CorruptVersion, match=name):
            registry.verify("signs", 1)
        registry.verify("signs", 1)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from([*FILES, MANIFEST]), st.floats(0, 1, exclude_max=True), st.integers(1, 50))
    def test_any_cut_shows(self, damaged: tuple[Registry, Path], name: str, where: float, length: int) -> None:
        registry, folder = damaged
        whole = (folder / name).read_bytes()
        at = int(where * len(whole))
        with content(folder / name, whole[:at] + whole[at + length :]), pytest.raises(CorruptVersion, match=name):
            registry.verify("signs", 1)

    def test_readers_check_the_file_that_they_read(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        for name in FILES:
            path = root / "signs" / "1" / name
            path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(CorruptVersion, match=r"model\.json of 'signs' version 1"):
            registry.card("signs", 1)
        with pytest.raises(CorruptVersion, match=r"weights\.safetensors of 'signs' version 1"):
            registry.weights("signs", 1)
        with pytest.raises(CorruptVersion, match=r"report/confusion_matrix\.png of 'signs' version 1"):
            registry.file("signs", 1, "report/confusion_matrix.png")

    def test_a_missing_file_is_damage(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        (root / "signs" / "1" / "weights.safetensors").unlink()
        with pytest.raises(CorruptVersion, match=r"weights\.safetensors .* it is missing"):
            registry.weights("signs", 1)

    def test_without_a_valid_manifest_it_does_not_exist(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1, 2, 3)
        (root / "signs" / "3" / MANIFEST).unlink()
        (root / "signs" / "2" / MANIFEST).write_text("{}")
        assert registry.versions("signs") == [1]
        assert registry.resolve("signs") == 1
        with pytest.raises(NotFound, match="'signs' has 1; received version 3"):
            registry.resolve("signs", version=3)
        with pytest.raises(NotFound):
            registry.card("signs", 3)

    def test_a_folder_under_another_number_is_no_version(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        shutil.copytree(root / "signs" / "1", root / "signs" / "2")
        with pytest.raises(CorruptVersion, match="it is the card of 'signs' version 1"):
            registry.verify("signs", 2)


class TestPublishing:
    def test_staged_files_are_not_a_version_yet(self, registry: Registry) -> None:
        stage(registry, "signs", 1)
        assert registry.models() == []
        assert registry.versions("signs") == []

    def test_the_same_job_may_publish_again(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        before = (root / "signs" / "1" / MANIFEST).stat().st_ino
        again = stage(registry, "signs", 1)
        registry.publish(again, "signs", 1)
        assert not again.exists()
        assert (root / "signs" / "1" / MANIFEST).stat().st_ino == before

    def test_another_job_may_not(self, registry: Registry) -> None:
        publish(registry, "signs", 1)
        with pytest.raises(Conflict, match="'signs' version 1 was by 'job_1'; received 'job_other'"):
            registry.publish(stage(registry, "signs", 1, job="job_other"), "signs", 1)
        assert registry.card("signs", 1).job_id == "job_1"

    @pytest.mark.parametrize("damage", ["half", "corrupt"])
    def test_what_is_in_the_way_is_moved_aside(self, registry: Registry, root: Path, damage: str) -> None:
        target = root / "signs" / "1"
        if damage == "half":
            target.mkdir(parents=True)
            (target / "weights.safetensors").write_bytes(b"half")
        else:
            publish(registry, "signs", 1)
            (target / "weights.safetensors").write_bytes(b"corrupt")
        publish(registry, "signs", 1)
        registry.verify("signs", 1)

    def test_a_rename_that_nfs_reports_as_failed(self, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        rename = Path.rename

        def done_but_denied(self: Path, target: Path) -> Path:
            rename(self, target)
            raise FileNotFoundError(errno.ENOENT, "the retransmitted request found nothing")

        staged = stage(registry, "signs", 1)
        monkeypatch.setattr(Path, "rename", done_but_denied)
        registry.publish(staged, "signs", 1)
        monkeypatch.undo()
        registry.verify("signs", 1)

    def test_the_model_s_folder_goes_just_before_the_rename(
        self, registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename, tries = Path.rename, 0

        def after_a_delete(self: Path, target: Path) -> Path:
            nonlocal tries
            tries += 1
            if tries == 1:
                (root / "signs").rmdir()
            return rename(self, target)

        staged = stage(registry, "signs", 1)
        monkeypatch.setattr(Path, "rename", after_a_delete)
        registry.publish(staged, "signs", 1)
        assert (tries, registry.versions("signs")) == (2, [1])

    def test_a_publish_that_cannot_be_done_says_so(
        self, registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = Path.rename

        def always_in_the_way(self: Path, target: Path) -> Path:
            if target.parent == root / "signs":
                raise OSError(errno.ENOTEMPTY, "Directory not empty")
            return rename(self, target)

        staged = stage(registry, "signs", 1)
        monkeypatch.setattr(Path, "rename", always_in_the_way)
        with pytest.raises(OSError, match="not empty"):
            registry.publish(staged, "signs", 1)
        assert staged.is_dir()
        assert registry.versions("signs") == []

    def test_what_is_no_version_is_refused(self, registry: Registry) -> None:
        with pytest.raises(ValueError, match=r"holds a valid model\.json"):
            registry.publish(registry.stage("signs"), "signs", 1)
        with pytest.raises(ValueError, match="must be of 'signs' version 2; received 'signs' version 1"):
            registry.publish(stage(registry, "signs", 1), "signs", 2)
        bare = stage(registry, "signs", 1)
        (bare / "weights.safetensors").unlink()
        with pytest.raises(ValueError, match=r"holds weights\.safetensors"):
            registry.publish(bare, "signs", 1)
        linked = stage(registry, "signs", 1)
        (linked / "report" / "link.png").symlink_to("/etc/hostname")
        with pytest.raises(ValueError, match="plain files"):
            registry.publish(linked, "signs", 1)
        assert registry.models() == []

    def test_a_full_disk_has_its_own_error(self, tmp_path: Path) -> None:
        with pytest.raises(DiskFull, match="Free some space"), room(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")
        with pytest.raises(PermissionError), room(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied")

    def test_two_attempts_of_one_job_at_once_make_one_version(self, registry: Registry) -> None:
        with ThreadPoolExecutor(4) as pool:
            for version in range(1, 11):
                attempts = [stage(registry, "signs", version) for _ in range(4)]
                for done in [pool.submit(registry.publish, staged, "signs", version) for staged in attempts]:
                    done.result()
                registry.verify("signs", version)
        assert registry.versions("signs") == list(range(1, 11))


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
        with pytest.raises(NotFound, match="'signs' has none; received no version"):
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
