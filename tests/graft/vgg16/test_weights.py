"""Where the weights come from: folder, cache, official files, package index; what is checked, and what is said."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from graft.errors import MissingWeights
from graft.vgg16.download import LogReporter
from graft.vgg16.sources import FULL, NO_TOP, TRUNK_FILE, OfficialFile, PackageIndex, Wheel
from graft.vgg16.weight_files import CLASSIFIER_SHAPES, TRUNK_SHAPES, read_keras, write_keras
from graft.vgg16.weights import TRUNK_DIGEST, WeightStore, digest
from tests.graft.vgg16.file_server import FileServer

NOWHERE = "http://127.0.0.1:1/"
QUIET = LogReporter()
NO_WHEEL = Wheel("graft-no-such-wheel==1", "0" * 64, "model.onnx")


def classifier_file(path: Path) -> Path:
    """The full network's dense layers as Keras 1 named them; all zeros, which HDF5 does not write out."""
    with h5py.File(path, "w") as file:
        for name, shape in CLASSIFIER_SHAPES.items():
            file.create_dataset(f"{name}/{name}_W_1:0", shape, "f4")
            file.create_dataset(f"{name}/{name}_b_1:0", shape[-1:], "f4")
        file["fc1/fc1_b_1:0"][7] = 0.5
    return path


@pytest.fixture(autouse=True)
def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip asks no index and finds no wheel."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def offline(tmp_path: Path, weights_dir: Path | None = None) -> WeightStore:
    """A store for which neither the official files nor the package index can be reached."""
    cache = tmp_path / "weights"
    return WeightStore(cache, weights_dir, NOWHERE, index=PackageIndex(cache, NO_WHEEL))


@pytest.mark.parametrize("name", [NO_TOP.name, TRUNK_FILE, FULL.name])
@pytest.mark.parametrize("place", ["folder", "cache"])
def test_the_trunk_is_found_on_disk(tmp_path: Path, trunk_file: Path, place: str, name: str) -> None:
    folder = tmp_path / ("mine" if place == "folder" else "weights")
    folder.mkdir()
    (folder / name).symlink_to(trunk_file)
    trunk = offline(tmp_path, folder if place == "folder" else None).trunk()
    assert digest(trunk) == TRUNK_DIGEST
    assert {layer: kernel.shape for layer, (kernel, _) in trunk.items()} == TRUNK_SHAPES


def test_the_folder_comes_before_the_cache(tmp_path: Path, trunk_file: Path) -> None:
    mine, cache = tmp_path / "mine", tmp_path / "weights"
    mine.mkdir()
    cache.mkdir()
    (mine / TRUNK_FILE).symlink_to(trunk_file)
    (cache / TRUNK_FILE).write_bytes(b"never read")
    trunk, _ = offline(tmp_path, mine).fetch(QUIET)
    assert trunk.text == f"in GRAFT_WEIGHTS_DIR: {mine / TRUNK_FILE}, verified."


def test_the_official_file_is_fetched_before_the_wheel_and_cached(tmp_path: Path, trunk_file: Path) -> None:
    data = trunk_file.read_bytes()
    no_top = OfficialFile(NO_TOP.name, hashlib.md5(data, usedforsecurity=False).hexdigest())
    cache = tmp_path / "weights"
    with FileServer({NO_TOP.name: data}).running() as server:
        index = PackageIndex(cache, NO_WHEEL)
        store = WeightStore(cache, None, server.url.rstrip("/"), no_top=no_top, index=index)
        assert digest(store.trunk()) == TRUNK_DIGEST
        assert digest(store.trunk()) == TRUNK_DIGEST
        assert [path for path, _ in server.asked] == [f"/{NO_TOP.name}"]
    assert (cache / NO_TOP.name).is_file()


def test_fetch_brings_both_parts_from_a_mirror(tmp_path: Path, trunk_file: Path) -> None:
    files = {NO_TOP.name: trunk_file.read_bytes(), FULL.name: classifier_file(tmp_path / "full.h5").read_bytes()}
    md5s = {name: hashlib.md5(data, usedforsecurity=False).hexdigest() for name, data in files.items()}
    with FileServer(files).running() as server:
        store = WeightStore(
            tmp_path / "weights",
            None,
            server.url,
            no_top=OfficialFile(NO_TOP.name, md5s[NO_TOP.name]),
            full=OfficialFile(FULL.name, md5s[FULL.name]),
        )
        outcomes = store.fetch(QUIET)
        names = (NO_TOP.name, FULL.name)
        assert [outcome.text for outcome in outcomes] == [
            f"from {server.url}: {tmp_path / 'weights' / name}, verified." for name in names
        ]
        assert [outcome.text for outcome in store.fetch(QUIET)] == [
            f"in the cache: {tmp_path / 'weights' / name}, verified." for name in names
        ]
        assert len(server.asked) == 2
    classifier = store.classifier()
    assert classifier is not None
    assert classifier.verified
    assert {name: kernel.shape for name, (kernel, _) in classifier.layers.items()} == CLASSIFIER_SHAPES
    assert classifier.layers["fc1"][1][7] == 0.5


def test_without_any_source_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights) as caught:
        offline(tmp_path).trunk()
    text = str(caught.value)
    for word in (
        "127.0.0.1:1 did not answer",
        "pip could not fetch",
        NO_TOP.name,
        "GRAFT_WEIGHTS_URL",
        "weights fetch",
    ):
        assert word in text


def test_a_missing_classifier_is_named_with_the_way_to_supply_it(tmp_path: Path) -> None:
    store = offline(tmp_path)
    assert store.classifier() is None
    _, classifier = store.fetch(QUIET)
    assert not classifier.found
    assert "127.0.0.1:1 did not answer" in classifier.text
    assert str(store.missing_classifier()) in classifier.text
    for word in (FULL.name, FULL.md5, str(tmp_path / "weights"), "GRAFT_WEIGHTS_URL", "graft weights fetch"):
        assert word in str(store.missing_classifier())


def test_a_classifier_of_unknown_origin_is_used_and_called_unverified(tmp_path: Path) -> None:
    classifier_file(tmp_path / FULL.name)
    store = offline(tmp_path, tmp_path)
    classifier = store.classifier()
    assert classifier is not None
    assert not classifier.verified
    assert classifier.path == tmp_path / FULL.name
    _, outcome = store.fetch(QUIET)
    assert outcome.found
    assert "unverified" in outcome.text


def test_another_networks_trunk_is_refused(tmp_path: Path, trunk_file: Path) -> None:
    layers = read_keras(trunk_file, TRUNK_SHAPES)
    kernel, bias = layers["block3_conv2"]
    layers["block3_conv2"] = kernel, np.nextafter(bias, np.float32(1))
    write_keras(layers, tmp_path / TRUNK_FILE)
    with pytest.raises(MissingWeights, match=f"digest {TRUNK_DIGEST}; received {tmp_path / TRUNK_FILE} with"):
        offline(tmp_path, tmp_path).trunk()


Damage = Callable[[Path, Path], None]


def _truncated(path: Path, trunk_file: Path) -> None:
    path.write_bytes(trunk_file.read_bytes()[:1_000_000])


def _no_hdf5(path: Path, _: Path) -> None:
    path.write_text("<html>not found</html>")


def _layer_missing(path: Path, trunk_file: Path) -> None:
    layers = read_keras(trunk_file, TRUNK_SHAPES)
    del layers["block5_conv3"]
    write_keras(layers, path)


def _other_shape(path: Path, trunk_file: Path) -> None:
    layers = read_keras(trunk_file, TRUNK_SHAPES)
    layers["block1_conv1"] = layers["block1_conv1"][0][:, :, :1], layers["block1_conv1"][1]
    write_keras(layers, path)


@pytest.mark.parametrize("damage", [_truncated, _no_hdf5, _layer_missing, _other_shape])
def test_a_broken_file_is_named_and_not_passed_over(
    tmp_path: Path, trunk_file: Path, damage: Callable[[Path, Path], None]
) -> None:
    damage(tmp_path / NO_TOP.name, trunk_file)
    (tmp_path / TRUNK_FILE).symlink_to(trunk_file)
    store = offline(tmp_path, tmp_path)
    with pytest.raises(MissingWeights, match=rf"{NO_TOP.name}: .* Replace or remove it\."):
        store.trunk()
    assert not store.fetch(QUIET)[0].found


@pytest.mark.parametrize(
    ("kernel_at", "bias_at"),
    [
        ("{0}/{0}_W_1:0", "{0}/{0}_b_1:0"),
        ("{0}/{0}/kernel:0", "{0}/{0}/bias:0"),
        ("model_weights/{0}/{0}/kernel:0", "model_weights/{0}/{0}/bias:0"),
    ],
)
def test_every_layout_that_keras_wrote_is_read(tmp_path: Path, kernel_at: str, bias_at: str) -> None:
    rng = np.random.default_rng(0)
    shapes = {"a": (3, 3, 2, 4), "b": (5, 6)}
    wrote = {name: (rng.random(s, np.float32), rng.random(s[-1:], np.float32)) for name, s in shapes.items()}
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for name, arrays in wrote.items():
            file[kernel_at.format(name)], file[bias_at.format(name)] = arrays
    read = read_keras(tmp_path / "f.h5", shapes)
    for name, (kernel, bias) in wrote.items():
        np.testing.assert_array_equal(read[name][0], kernel)
        np.testing.assert_array_equal(read[name][1], bias)
