"""CIFAR's binary version, packed here as cs.toronto.edu/~kriz/cifar.html describes it."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from graft.datasets import Datasets
from graft.errors import InvalidInput
from tests.graft.datasets.layouts.reading import Made, read, sources
from tests.graft.datasets.layouts.ready import counts, left_out, ready

NAMES = b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
FINE, COARSE = b"apple\naquarium_fish\nbaby\n", b"aquatic_mammals\nfish\n"


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)


def records(*labels: tuple[int, ...], start: int = 0) -> bytes:
    """Labels, then the red plane, the green and the blue one."""
    return b"".join(bytes(of) + pixels(start + number).transpose(2, 0, 1).tobytes() for number, of in enumerate(labels))


TEN = {
    "cifar-10-batches-bin/batches.meta.txt": NAMES,
    "cifar-10-batches-bin/data_batch_1.bin": records((3,), (5,)),
    "cifar-10-batches-bin/data_batch_2.bin": records((5,), start=10),
    "cifar-10-batches-bin/test_batch.bin": records((3,), start=20),
    "cifar-10-batches-bin/readme.html": b"<html>",
}
HUNDRED = {
    "cifar-100-binary/train.bin": records((1, 0), (0, 2), (0, 2)),
    "cifar-100-binary/test.bin": records((1, 0), start=20),
    "cifar-100-binary/fine_label_names.txt": FINE,
    "cifar-100-binary/coarse_label_names.txt": COARSE,
}


def test_cifar_10_becomes_a_ready_dataset(datasets: Datasets) -> None:
    dataset, manifest = ready(datasets, TEN)
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {"train": {"cat": 1, "dog": 2}, "test": {"cat": 1}}
    assert [picture.path for picture in manifest.of("train")] == [
        "train/cat/data_batch_1_00000.png", "train/dog/data_batch_1_00001.png", "train/dog/data_batch_2_00000.png",
    ]  # fmt: skip
    assert left_out(dataset) == {("cifar-10-batches-bin/readme.html", "stray_file")}


def test_cifar_100_has_its_fine_classes(datasets: Datasets) -> None:
    dataset, _ = ready(datasets, HUNDRED)
    assert counts(dataset) == {"train": {"apple": 1, "baby": 2}, "test": {"apple": 1}}
    assert left_out(dataset) == set()


def test_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    made = Made()
    listing = read(sources(tmp_path, {"data_batch_1.bin": records((3,), (5,))}), made)
    assert [file.label for file in listing.files] == ["3", "5"]  # no names came with it
    for number, file in enumerate(listing.files):
        assert np.array_equal(np.asarray(made.image(file.sha256)), pixels(number))


@pytest.mark.parametrize(("files", "message"), [
    (TEN | {"cifar-10-batches-bin/data_batch_1.bin": records((3,), (5,))[:-1]}, "records of 3,073 bytes; .* has 6,145"),
    (TEN | {"cifar-10-batches-bin/test_batch.bin": b""}, "records of 3,073 bytes; .* has 0"),
    (TEN | {"cifar-10-batches-bin/data_batch_2.bin": records((10,))}, "record 0 of .* has label 10, and there are 10"),
    (HUNDRED | {"cifar-100-binary/train.bin": records((1, 0), (0, 2))[:-1]}, "records of 3,074 bytes; .* has 6,147"),
    ({"test_batch.bin": records((1,), (2,))}, "all are for test"),
    ({f"data_batch_{n}.bin": records((n,)) for n in range(21)}, "at most 20 files of records; this one has 21"),
    (TEN | {"cifar-10-batches-bin/batches.meta.txt": b"\n" * 1001}, "at most 1,000 lines; 'cifar-10-batches-bin/bat"),
])  # fmt: skip
def test_what_is_wrong_is_said(files: Mapping[str, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message) as raised:
        read(sources(tmp_path, files))
    assert "binary version.)" in str(raised.value)


class Bomb:
    """Unpickling it fails the test."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize("names", [
    ["cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/batches.meta"],
    ["cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta"],
    ["cifar-10-batches-mat/data_batch_1.mat", "cifar-10-batches-mat/test_batch.mat"],
    ["cifar-100-matlab/train.mat", "cifar-100-matlab/test.mat", "cifar-100-matlab/meta.mat"],
])  # fmt: skip
def test_pickles_are_refused_unopened(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"Download cifar-10-binary\.tar\.gz"):
        read(sources(tmp_path, dict.fromkeys(names, pickle.dumps(Bomb()))))
