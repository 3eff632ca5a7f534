import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from graft.training.features import FeatureKind, Features, FeatureStore, extract
from graft.types import InputKey, Precision
from graft.vgg16.layers import feature_shape


@dataclass(frozen=True)
class File:
    sha256: str


class MeanTrunk:
    """A trunk whose features are the picture's mean, everywhere; it remembers the sizes of its batches."""

    precision: Precision = "float32"
    device = "CPU:0"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        assert start == "input"
        self.batches.append(len(pictures))
        mean = pictures.mean((1, 2, 3))[:, None, None, None]
        return {cut: np.broadcast_to(mean, (len(pictures), *feature_shape(cut))).astype(np.float32) for cut in cuts}


KIND = FeatureKind(InputKey(preprocessing="none"), "d9a2", "block5_pool", "avg")
FILES = [File(f"{i:064x}") for i in range(19)]


def pixels(file: File) -> np.ndarray:
    return np.full((224, 224, 3), int(file.sha256, 16), np.uint8)


def fill(store: FeatureStore, trunk: MeanTrunk, kind: FeatureKind = KIND) -> None:
    for batch in extract(trunk, kind, store.missing(kind, FILES), pixels):
        for file, features in batch:
            store.write(kind, file, features)


def test_features_are_computed_once_and_read_in_the_order_asked(tmp_path: Path) -> None:
    store, trunk = FeatureStore(tmp_path), MeanTrunk()
    fill(store, trunk)
    fill(store, trunk)
    assert trunk.batches == [8, 8, 3]
    rows = store.read(KIND, [FILES[5], FILES[0], FILES[5]])
    assert rows.shape == (3, 512)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[:, 0], [5, 0, 5])


def test_unpooled_features_keep_their_shape(tmp_path: Path) -> None:
    store, kind = FeatureStore(tmp_path), replace(KIND, cut="block4_pool", pooling=None)
    fill(store, MeanTrunk(), kind)
    assert store.read(kind, FILES[:2]).shape == (2, 14, 14, 512)


def test_the_same_content_twice_is_computed_once(tmp_path: Path) -> None:
    assert FeatureStore(tmp_path).missing(KIND, [FILES[0], FILES[1], FILES[0]]) == [FILES[0], FILES[1]]


def test_a_file_that_was_cut_off_is_computed_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    fill(store, MeanTrunk())
    file = next(path for path in tmp_path.rglob("*.npy") if KIND.key(FILES[3].sha256) == path.stem)
    file.write_bytes(file.read_bytes()[:-1])
    assert store.missing(KIND, FILES) == [FILES[3]]


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    fill(FeatureStore(tmp_path), MeanTrunk())
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(FILES)


@pytest.mark.parametrize(
    "other",
    [
        replace(KIND, input=InputKey(preprocessing="caffe")),
        replace(KIND, input=InputKey(preprocessing="none", interpolation="bilinear")),
        replace(KIND, input=InputKey(preprocessing="none", pixels=2)),
        replace(KIND, trunk_digest="0000"),
        replace(KIND, cut="block4_pool"),
        replace(KIND, pooling="max"),
        replace(KIND, view=1),
    ],
)
def test_whatever_decides_the_features_is_in_the_key(other: FeatureKind) -> None:
    assert other.key(FILES[0].sha256) != KIND.key(FILES[0].sha256)
    assert KIND.key(FILES[1].sha256) != KIND.key(FILES[0].sha256)


def test_the_key_is_final() -> None:
    """Stored features would be lost with another key: it changes only with what it stands for."""
    content = (
        '{"cut":"block5_pool","input":{"interpolation":"nearest","pixels":1,"precision":"float32",'
        '"preprocessing":"none"},"picture":"ab","pooling":"avg","trunk_digest":"d9a2","view":0}'
    )
    assert KIND.key("ab") == hashlib.sha256(content.encode()).hexdigest()
