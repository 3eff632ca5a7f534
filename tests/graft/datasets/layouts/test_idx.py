"""MNIST's form, packed here as yann.lecun.com/exdb/mnist describes it."""

import gzip
import struct
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from graft.datasets import Datasets
from graft.datasets.layouts.making import MAX_MADE
from graft.errors import Interrupted, InvalidInput, TooLarge
from tests.graft.datasets.filling import add
from tests.graft.datasets.layouts.reading import Made, read, sources
from tests.graft.datasets.layouts.ready import counts, left_out, ready
from tests.monitors import Recorder


def pictures(count: int, rows: int = 28, columns: int = 28, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, rows, columns), np.uint8)


def images(pixels: np.ndarray) -> bytes:
    return struct.pack(">4s3L", b"\0\0\x08\x03", *pixels.shape) + pixels.tobytes()


def labels(*values: int) -> bytes:
    return struct.pack(">4sL", b"\0\0\x08\x01", len(values)) + bytes(values)


TRAIN, TEST = pictures(6), pictures(2, seed=1)
MNIST = {
    "train-images-idx3-ubyte.gz": gzip.compress(images(TRAIN)),
    "train-labels-idx1-ubyte.gz": gzip.compress(labels(3, 7, 3, 7, 3, 7)),
    "t10k-images-idx3-ubyte.gz": gzip.compress(images(TEST)),
    "t10k-labels-idx1-ubyte.gz": gzip.compress(labels(7, 3)),
}


def test_mnist_becomes_a_ready_dataset(datasets: Datasets) -> None:
    dataset, manifest = ready(datasets, {f"mnist/{name}": data for name, data in MNIST.items()})
    assert dataset.classes == ("3", "7")
    assert counts(dataset) == {"train": {"3": 3, "7": 3}, "test": {"3": 1, "7": 1}}
    assert [picture.path for picture in manifest.of("test")] == ["test/3/00001.png", "test/7/00000.png"]
    assert left_out(dataset) == set()


@pytest.mark.parametrize("name", ["{}-{}.idx{}-ubyte", "{}-{}-idx{}-ubyte", "data/kmnist/{}-{}-idx{}-ubyte"])
def test_pixels_and_labels_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    made, pixels = Made(), pictures(3, 4, 5)
    files = {name.format("train", "images", 3): images(pixels), name.format("train", "labels", 1): labels(1, 0, 1)}
    listing = read(sources(tmp_path, files), made)
    for file, number in zip(listing.files, (1, 0, 2), strict=True):
        assert (file.path, file.split, file.label) == (
            f"train/{'0' if number == 1 else '1'}/{number:05}.png", "train", "0" if number == 1 else "1",
        )  # fmt: skip
        assert np.array_equal(np.asarray(made.image(file.sha256)), pixels[number])


def test_names_of_classes_lie_beside_the_files(tmp_path: Path) -> None:
    """Nothing else tells Fashion-MNIST from MNIST."""
    names = b"T-shirt/top\nTrouser\nPullover\nDress\nCoat\nSandal\nShirt\nSneaker\nBag\nAnkle boot\n"
    listing = read(sources(tmp_path, MNIST | {"labels.txt": names}))
    assert {file.label for file in listing.files} == {"Dress", "Sneaker"}
    assert listing.notes == ()


def test_emnist_is_set_upright_and_named_by_its_mapping(tmp_path: Path) -> None:
    made, pixels = Made(), pictures(2)
    listing = read(sources(tmp_path, {
        "gzip/emnist-letters-train-images-idx3-ubyte.gz": gzip.compress(images(pixels)),
        "gzip/emnist-letters-train-labels-idx1-ubyte.gz": gzip.compress(labels(1, 2)),
        "gzip/emnist-letters-mapping.txt": b"1 65 97\n2 66 98\n",
    }), made)  # fmt: skip
    assert [file.label for file in listing.files] == ["A", "B"]
    assert np.array_equal(np.asarray(made.image(listing.files[0].sha256)), pixels[0].T)
    assert listing.notes == ()


def test_files_that_are_there_packed_and_unpacked_count_once(tmp_path: Path) -> None:
    twice = MNIST | {name.removesuffix(".gz"): gzip.decompress(data) for name, data in MNIST.items()}
    assert len(read(sources(tmp_path, twice)).files) == 8


def test_other_files_beside_them_are_left_out(datasets: Datasets) -> None:
    dataset, _ = ready(datasets, MNIST | {"README.txt": b"digits", "sample.png": b""})
    assert left_out(dataset) == {("README.txt", "stray_file"), ("sample.png", "unlisted")}


def changed(**data: bytes) -> Mapping[str, bytes]:
    """Two plain files of the training split; `images` or `labels` replaced."""
    plain = {"images": images(TRAIN), "labels": labels(3, 7, 3, 7, 3, 7)} | data
    return {f"train-{kind}-idx{3 if kind == 'images' else 1}-ubyte": content for kind, content in plain.items()}


PACKED = MNIST["train-images-idx3-ubyte.gz"]


@pytest.mark.parametrize(("files", "message"), [
    (changed(labels=labels(3, 7)), "has 6 pictures and 'train-labels-idx1-ubyte' 2 labels"),
    (changed(images=labels(3, 7) + bytes(20)), "begins with the bytes 00 00 08 03; .* begins with 00 00 08 01"),
    (changed(images=PACKED), "begins with 1f 8b .*; a packed one must end in .gz|begins with 1f 8b"),
    (changed(images=images(TRAIN)[:-1]), "'train-images-idx3-ubyte' does not: it is truncated"),
    (changed(images=images(TRAIN)[:9]), "'train-images-idx3-ubyte' does not: it is truncated"),
    (changed(images=images(TRAIN) + b"\0"), "goes on behind its last entry"),
    (changed(labels=labels(3, 7, 3, 7, 3, 7)[:-1]), "'train-labels-idx1-ubyte' does not: it is truncated"),
    (changed(labels=labels(3, 3, 3, 3, 3, 3)), "at least two classes; all are '3'"),
    (changed(images=struct.pack(">4s3L", b"\0\0\x08\x03", 6, 0, 28)), "must have 1 to 1,000,000 pixels; .* 0 x 28"),
    (changed(images=struct.pack(">4s3L", b"\0\0\x08\x03", 6, 2**31, 2)), "must have 1 to 1,000,000 pixels"),
    (MNIST | {"train-images-idx3-ubyte.gz": PACKED[:-9]}, "'train-images-idx3-ubyte.gz' is not: it ends in the"),
    (MNIST | {"train-images-idx3-ubyte.gz": PACKED[:-8] + bytes(8)}, "idx3-ubyte.gz' is not: .*incorrect data check"),
    (MNIST | {"train-images-idx3-ubyte.gz": images(TRAIN)}, "incorrect header check"),
    (MNIST | {"train-images-idx3-ubyte.gz": gzip.compress(b"") * 10_001}, "at most 10,000 parts"),
    (MNIST | {"train-labels-idx1-ubyte.gz": b"\x1f\x8b\x08\x08" + b"n" * (1 << 21)}, "without unpacking to anything"),
    ({"train-images-idx3-ubyte": images(TRAIN)}, "'train-images-idx3-ubyte' came without its labels"),
    ({"t10k-labels-idx1-ubyte": labels(1)}, "'t10k-labels-idx1-ubyte' came without its images"),
    ({name: data for name, data in MNIST.items() if "t10k" in name}, "all are for test"),
    (MNIST | {f"b/{name}": gzip.compress(b"other") for name in MNIST}, "one file for the images of each split"),
    (MNIST | {"labels.txt": b"zero\none\ntwo\nthree\n"}, "picture 1 of 'train-.*' has label 7, and there are 4 names"),
    (MNIST | {"labels.txt": b"a\nb\nc\nd\ne\nf\ng\nd\n"}, "has one twice"),
])  # fmt: skip
def test_what_is_wrong_is_said(files: Mapping[str, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message) as raised:
        read(sources(tmp_path, files))
    assert "read as MNIST's IDX files" in str(raised.value)


def test_a_header_that_claims_millions_costs_nothing(tmp_path: Path) -> None:
    count = MAX_MADE + 1
    files = changed(
        images=struct.pack(">4s3L", b"\0\0\x08\x03", count, 1, 1), labels=struct.pack(">4sL", b"\0\0\x08\x01", count)
    )
    with pytest.raises(TooLarge, match="At most 250,000 pictures can be made"):
        read(sources(tmp_path, files))


def test_what_a_file_unpacks_to_beyond_its_header_is_not_read(tmp_path: Path) -> None:
    flood = bytes(16 << 20)
    files = MNIST | {"train-images-idx3-ubyte.gz": gzip.compress(images(TRAIN) + flood, 1)}
    more = MNIST | {"train-labels-idx1-ubyte.gz": gzip.compress(labels(3, 7, 3, 7, 3, 7) + flood, 1)}
    tracemalloc.start()
    try:
        for given in (files, more):
            with pytest.raises(InvalidInput, match="goes on behind its last entry"):
                read(sources(tmp_path, given))
        assert tracemalloc.get_traced_memory()[1] < len(flood) / 4
    finally:
        tracemalloc.stop()


def test_it_says_how_far_it_is_and_stops_when_asked(tmp_path: Path) -> None:
    watch = Recorder()
    read(sources(tmp_path, MNIST), monitor=watch)
    assert [(report.phase, report.step, report.steps) for report in watch.reports] == [
        ("validating", step, 8) for step in range(1, 9)
    ]
    made = Made()
    with pytest.raises(Interrupted):
        read(sources(tmp_path, MNIST), made, Recorder(stop_after=2))
    assert len(made.by_hash) == 2


def test_the_other_split_may_come_later(datasets: Datasets) -> None:
    """As the next revision, in which every picture keeps its split."""
    train = {name: data for name, data in MNIST.items() if "train" in name}
    dataset, first = ready(datasets, train)
    add(datasets, dataset.id, {name: data for name, data in MNIST.items() if "t10k" in name})
    datasets.commit(dataset.id)
    dataset = datasets.validate(dataset.id, Recorder())
    assert counts(dataset) == {"train": {"3": 3, "7": 3}, "test": {"3": 1, "7": 1}}
    assert datasets.manifest(dataset.id, str(dataset.revision)).of("train") == first.of("train")
