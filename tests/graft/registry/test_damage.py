"""Any byte that is not what it was is found."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graft import tables
from graft.database import connect
from graft.errors import CorruptVersion, NotFound
from graft.registry import Registry
from graft.registry.manifest import MANIFEST
from tests.graft.registry.versions import FILES, publish


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
