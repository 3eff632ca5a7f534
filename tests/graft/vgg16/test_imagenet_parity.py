"""The stock classifier against Keras itself: the real trunk, seeded dense layers, one file in the official layout."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

from graft import images
from graft.vgg16.heads import Graft, imagenet_weights, probabilities
from graft.vgg16.inputs import network_input
from graft.vgg16.labels import decode_predictions
from graft.vgg16.layers import IMAGENET_HEAD, INPUT, LAST
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weights import WeightStore
from tests.networks import random_dense, write_official

PICTURES = 24
FILE = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"


@dataclass(frozen=True)
class Both:
    """Logits (PICTURES, 1000), ours and Keras', of the same files."""

    ours: np.ndarray
    keras: np.ndarray
    verified: bool


def logits(store: WeightStore, files: list[Path]) -> np.ndarray:
    classifier = store.classifier()
    assert classifier is not None
    graft = Graft(LAST, IMAGENET_HEAD, imagenet_weights(classifier.layers))
    numbers = network_input(np.stack([images.decode(file.read_bytes()) for file in files]), "caffe")
    return graft.logits(TensorFlowTrunk(store.trunk()).run(numbers, INPUT, [LAST])[LAST])


def scale_for(raw: np.ndarray) -> float:
    """The factor on the last layer that gives a median top-1 probability of one half."""
    low, high = 0.0, 1e4
    for _ in range(60):
        middle = (low + high) / 2
        too_sure = np.median(probabilities(raw * np.float32(middle)).max(1)) > 0.5
        low, high = (low, middle) if too_sure else (middle, high)
    return low


@pytest.fixture(scope="module")
def both(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("weights")
    files = sorted(assets.glob("sign-language-digits/test/*/*"))[:: 50 // PICTURES][:PICTURES]
    layers = {**WeightStore(folder, assets / "weights", "").trunk(), **random_dense()}
    write_official(folder / FILE, layers)
    store = WeightStore(folder / "cache", folder, "")
    kernel, bias = layers["predictions"]
    layers["predictions"] = kernel * np.float32(scale_for(logits(store, files))), bias
    write_official(folder / FILE, layers)

    theirs = keras.applications.VGG16(weights=str(folder / FILE), classifier_activation=None)
    loaded = [keras.utils.img_to_array(keras.utils.load_img(file, target_size=(224, 224))) for file in files]
    numbers = keras.applications.vgg16.preprocess_input(np.stack(loaded))
    classifier = store.classifier()
    yield Both(logits(store, files), theirs.predict_on_batch(numbers), bool(classifier and classifier.verified))
    (folder / FILE).unlink()


def test_the_comparison_is_on_pictures_that_divide_the_probabilities(both: Both) -> None:
    assert len(both.ours) == PICTURES
    assert 0.1 < np.median(probabilities(both.keras).max(1)) < 0.9


def test_logits_are_keras_s(both: Both) -> None:
    # A logit near zero is the difference of large numbers; its error is relative to them.
    np.testing.assert_allclose(both.ours, both.keras, rtol=1e-4, atol=1e-5 * np.abs(both.keras).max())


def test_the_top_five_are_keras_s(both: Both) -> None:
    np.testing.assert_array_equal(both.ours.argsort(1)[:, -5:], both.keras.argsort(1)[:, -5:])
    for row, label in zip(both.keras, decode_predictions(probabilities(both.ours), 1), strict=True):
        assert label[0].index == row.argmax()


def test_weights_that_are_not_the_official_file_are_called_unverified(both: Both) -> None:
    assert not both.verified
