"""The stock classifier against Keras itself: the real trunk, seeded dense layers, one file in the official layout."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

from graft.vgg16.labels import decode_predictions, probabilities
from graft.vgg16.sources import FULL
from graft.vgg16.weights import WeightStore
from tests.networks import imagenet_logits


@dataclass(frozen=True)
class Both:
    """Logits (pictures, 1000), ours and Keras', of the same files."""

    ours: np.ndarray
    keras: np.ndarray
    verified: bool


@pytest.fixture(scope="module")
def both(official_weights: Path, real_pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Both:
    store = WeightStore(tmp_path_factory.mktemp("cache"), official_weights, "")
    classifier = store.classifier()
    assert classifier is not None
    theirs = keras.applications.VGG16(weights=str(official_weights / FULL.name), classifier_activation=None)
    loaded = [keras.utils.img_to_array(keras.utils.load_img(file, target_size=(224, 224))) for file in real_pictures]
    numbers = keras.applications.vgg16.preprocess_input(np.stack(loaded))
    return Both(imagenet_logits(store, real_pictures), theirs.predict_on_batch(numbers), classifier.verified)


def test_the_comparison_is_on_pictures_that_divide_the_probabilities(both: Both) -> None:
    assert len(both.ours) >= 20
    assert 0.1 < np.median(probabilities(both.keras).max(1)) < 0.9


def test_logits_are_keras_s(both: Both) -> None:
    np.testing.assert_allclose(both.ours, both.keras, rtol=1e-4, atol=1e-6)


def test_the_top_five_are_keras_s(both: Both) -> None:
    np.testing.assert_array_equal(both.ours.argsort(1)[:, -5:], both.keras.argsort(1)[:, -5:])
    for row, label in zip(both.keras, decode_predictions(probabilities(both.ours), 1), strict=True):
        assert label[0].index == row.argmax()


def test_weights_that_are_not_the_official_file_are_called_unverified(both: Both) -> None:
    assert not both.verified
