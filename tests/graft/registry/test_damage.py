"""Any byte that is not what it was is found, by whatever reads that file."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graft import tables
from graft.database import connect
from graft.errors import CorruptVersion, NotFound
from graft.registry import METRICS, MODEL, WEIGHTS, Registry
from graft.registry.manifest import MANIFEST, Manifest, seal
from tests.graft.registry.versions import FILES, files_under, publish

PICTURE = "report/confusion_matrix.png"
EVERY_FILE = [*FILES, MANIFEST]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Registry, Path]]:
    """A registry with `signs` version 1, and that version's folder, to be damaged and mended again."""
    home = tmp_path_factory.mktemp("damaged")
    engine = connect(f"sqlite:///{home / 'registry.db'}")
    tables.metadata.create_all(engine)
    registry = Registry(home / "registry", engine)
    publish(registry, "signs", 1)
    assert files_under(home / "registry" / "signs" / "1") == set(EVERY_FILE)
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


@contextmanager
def gone(path: Path) -> Iterator[Path]:
    """The file is elsewhere for a while; gives where."""
    elsewhere = path.rename(path.with_name("elsewhere"))
    try:
        yield elsewhere
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        elsewhere.rename(path)


def readings(registry: Registry, name: str) -> list[Callable[[], object]]:
    """All that reads the file, of version 1 of `signs`."""
    of_card: list[Callable[[], object]] = [partial(registry.card, "signs", 1), partial(registry.load, "signs", 1)]
    readings: dict[str, list[Callable[[], object]]] = {
        MODEL: [*of_card, partial(registry.file, "signs", 1, MODEL)],
        WEIGHTS: [partial(registry.load, "signs", 1), partial(registry.file, "signs", 1, WEIGHTS)],
        METRICS: [partial(registry.file, "signs", 1, METRICS)],
        PICTURE: [partial(registry.file, "signs", 1, PICTURE)],
        MANIFEST: [*of_card, partial(registry.file, "signs", 1, PICTURE)],
    }
    return [*readings[name], partial(registry.verify, "signs", 1)]


def assert_found(registry: Registry, name: str, problem: str = "") -> None:
    for reading in readings(registry, name):
        with pytest.raises(CorruptVersion, match=rf"{name} of 'signs' version 1 does not: .*{problem}"):
            reading()


bytewise = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
a_file = st.sampled_from(EVERY_FILE)
a_place = st.floats(0, 1, exclude_max=True)


class TestDamage:
    @settings(bytewise, max_examples=200)
    @given(a_file, a_place, st.integers(1, 255))
    def test_any_changed_byte_shows(self, damaged: tuple[Registry, Path], name: str, where: float, flip: int) -> None:
        registry, folder = damaged
        broken = bytearray((folder / name).read_bytes())
        broken[int(where * len(broken))] ^= flip
        with content(folder / name, bytes(broken)):
            assert_found(registry, name)
        registry.verify("signs", 1)

    def test_each_byte_of_the_manifest_counts(self, damaged: tuple[Registry, Path]) -> None:
        whole = (damaged[1] / MANIFEST).read_bytes()
        for i in range(len(whole)):
            flipped = [whole[:i] + bytes([whole[i] ^ flip]) + whole[i + 1 :] for flip in (1, 0x20, 0x80)]
            for broken in (*flipped, whole[:i], whole[:i] + whole[i + 1 :], whole[:i] + b" " + whole[i:]):
                with pytest.raises(ValueError, match=r"manifest|digest"):
                    Manifest.parse(broken)

    @settings(bytewise, max_examples=100)
    @given(a_file, a_place)
    def test_any_cut_shows(self, damaged: tuple[Registry, Path], name: str, where: float) -> None:
        registry, folder = damaged
        whole = (folder / name).read_bytes()
        with content(folder / name, whole[: int(where * len(whole))]):
            assert_found(registry, name)

    @settings(bytewise, max_examples=60)
    @given(a_file, a_place, st.integers(1, 50))
    def test_any_hole_shows(self, damaged: tuple[Registry, Path], name: str, where: float, length: int) -> None:
        registry, folder = damaged
        whole = (folder / name).read_bytes()
        at = int(where * len(whole))
        with content(folder / name, whole[:at] + whole[at + length :]):
            assert_found(registry, name)

    @settings(bytewise, max_examples=60)
    @given(a_file, a_place, st.binary(min_size=1, max_size=50))
    def test_anything_that_was_added_shows(
        self, damaged: tuple[Registry, Path], name: str, where: float, garbage: bytes
    ) -> None:
        registry, folder = damaged
        whole = (folder / name).read_bytes()
        at = len(whole) if where > 0.5 else int(where * len(whole))
        with content(folder / name, whole[:at] + garbage + whole[at:]):
            assert_found(registry, name)

    @pytest.mark.parametrize("name", EVERY_FILE)
    def test_what_is_no_plain_file_is_damage(self, damaged: tuple[Registry, Path], name: str) -> None:
        registry, folder = damaged
        with gone(folder / name):
            (folder / name).mkdir()
            assert_found(registry, name, "it is not a plain file")
        with gone(folder / name):
            os.mkfifo(folder / name)
            assert_found(registry, name, "it is not a plain file")
        with gone(folder / name) as the_same_bytes:
            (folder / name).symlink_to(the_same_bytes)
            assert_found(registry, name, "it is not a plain file")
        with gone(folder / name):
            (folder / name).symlink_to("nowhere")
            assert_found(registry, name, "it is not a plain file")
        registry.verify("signs", 1)

    @pytest.mark.parametrize("name", FILES)
    def test_a_missing_file_is_damage(self, damaged: tuple[Registry, Path], name: str) -> None:
        registry, folder = damaged
        with gone(folder / name):
            assert_found(registry, name, "it is missing")

    def test_so_is_a_folder_that_became_a_file(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        shutil.rmtree(root / "signs" / "1" / "report")
        (root / "signs" / "1" / "report").write_bytes(b"")
        assert_found(registry, PICTURE, "it is missing")

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

    def test_one_that_was_asked_for_by_its_number_is_damaged(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1, 2)
        registry.set_alias("signs", "canary", 2)
        (root / "signs" / "2" / MANIFEST).write_bytes(b"")
        assert registry.resolve("signs", version=2) == registry.resolve("signs", alias="canary") == 2
        with pytest.raises(CorruptVersion, match="it cannot be read as a manifest"):
            registry.load("signs", 2)
        with pytest.raises(NotFound, match="'signs' has 1; received version 2"):
            registry.set_alias("signs", "stable", 2)

    def test_a_folder_under_another_number_is_no_version(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        shutil.copytree(root / "signs" / "1", root / "signs" / "2")
        with pytest.raises(CorruptVersion, match="it is the card of 'signs' version 1"):
            registry.verify("signs", 2)


class TestCards:
    """What was published whole, and yet is no model."""

    @pytest.mark.parametrize(
        ("field", "value", "problem"),
        [
            ("cut", "block6_pool", "cut must be a layer of the trunk; received 'block6_pool'"),
            ("cut", "block5_conv3", None),
            ("cut", "block4_pool", "parameters must be those of tail and head"),
            ("classes", ["discs"], "the head has 3 outputs; received 1 classes"),
            ("format", 2, "format: Input should be 1"),
        ],
    )
    def test_the_card_says_what_the_layers_need(
        self, registry: Registry, root: Path, field: str, value: object, problem: str | None
    ) -> None:
        publish(registry, "signs", 1)
        folder = root / "signs" / "1"
        card = json.loads((folder / MODEL).read_bytes())
        (folder / MODEL).write_text(json.dumps({**card, field: value}))
        (folder / MANIFEST).unlink()
        seal(folder)
        if problem is None:
            registry.load("signs", 1)
        else:
            with pytest.raises(CorruptVersion, match=rf"no model card that this release reads \(.*{problem}"):
                registry.load("signs", 1)


class TestSignatures:
    @pytest.mark.parametrize("name", EVERY_FILE)
    def test_it_changes_with_a_file_and_not_otherwise(self, registry: Registry, root: Path, name: str) -> None:
        publish(registry, "signs", 1)
        before = registry.signature("signs", 1)
        registry.verify("signs", 1)
        assert registry.signature("signs", 1) == before
        path = root / "signs" / "1" / name
        shutil.copy2(path, path.with_name("copy"))  # of the same size and times
        path.with_name("copy").replace(path)
        restored = registry.signature("signs", 1)
        path.write_bytes(path.read_bytes() + b" ")
        assert len({before, restored, registry.signature("signs", 1)}) == 3

    def test_a_file_that_comes_or_goes_shows(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        whole = registry.signature("signs", 1)
        with gone(root / "signs" / "1" / WEIGHTS):
            assert registry.signature("signs", 1) != whole
        registry.delete("signs", 1)
        assert registry.signature("signs", 1) == frozenset()
