"""The ImageNet labels against Keras' own decode_predictions, which is given the class index that we ship."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras.src import backend
from keras.src.applications import imagenet_utils

from graft.vgg16.labels import ImageNetLabel, decode_predictions, imagenet_classes

KerasDecode = Callable[[np.ndarray, int], list[list[tuple[str, str, float]]]]


@pytest.fixture(scope="module")
def keras_decode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KerasDecode]:
    """Keras' function, which finds the class index where it would have downloaded it to.

    KERAS_HOME would do, but is read when Keras is imported.
    """
    home = tmp_path_factory.mktemp("keras")
    (home / "models").mkdir()
    with as_file(files("graft") / "imagenet_class_index.json") as index:
        shutil.copy(index, home / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend.config, "keras_home", lambda: str(home))
        patch.setattr(imagenet_utils, "CLASS_INDEX", None)
        yield imagenet_utils.decode_predictions


def as_keras_gives_it(rows: list[list[ImageNetLabel]]) -> list[list[tuple[str, str, float]]]:
    return [[(entry.wnid, entry.label, entry.probability) for entry in row] for row in rows]


def test_the_class_index_is_keras_own_file() -> None:
    data = (files("graft") / "imagenet_class_index.json").read_bytes()
    assert hashlib.md5(data, usedforsecurity=False).hexdigest() == "c2c37ea517e94d9795004a39431a14cb"
    classes = imagenet_classes()
    assert len(classes) == len({wnid for wnid, _ in classes}) == 1000
    assert (classes[0], classes[281], classes[999]) == (
        ("n01440764", "tench"),
        ("n02123045", "tabby"),
        ("n15075141", "toilet_tissue"),
    )


@pytest.mark.parametrize("top", [1, 5, 1000, 2000])
def test_it_equals_keras(keras_decode: KerasDecode, top: int) -> None:
    logits = np.random.default_rng(0).normal(0, 3, (20, 1000))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    ours = decode_predictions(probabilities, top)
    assert as_keras_gives_it(ours) == keras_decode(probabilities, top)
    for row, entries in zip(probabilities, ours, strict=True):
        assert [row[entry.index] for entry in entries] == sorted(row, reverse=True)[:top]
        assert [imagenet_classes()[entry.index] for entry in entries] == [(e.wnid, e.label) for e in entries]


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float32, (2, 1000), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]), fill=st.just(0.0)),
    st.integers(1, 12),
)
def test_ties_break_as_in_keras(keras_decode: KerasDecode, probabilities: np.ndarray, top: int) -> None:
    assert as_keras_gives_it(decode_predictions(probabilities, top)) == keras_decode(probabilities, top)


def test_numbers_are_python_s_own() -> None:
    entry = decode_predictions(np.eye(1, 1000, 7, dtype=np.float32), top=1)[0][0]
    assert entry == ImageNetLabel("n01514668", "cock", 7, 1.0)
    assert (type(entry.index), type(entry.probability)) == (int, float)


@pytest.mark.parametrize("shape", [(1000,), (1, 999), (2, 3, 1000)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 1000\); received"):
        decode_predictions(np.zeros(shape, np.float32))


def test_top_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="received 0"):
        decode_predictions(np.zeros((1, 1000), np.float32), top=0)


def test_no_pictures_no_labels() -> None:
    assert decode_predictions(np.zeros((0, 1000), np.float32)) == []


def test_tensorflow_stays_out(tmp_path: Path) -> None:
    code = "import sys, graft.vgg16.labels; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
