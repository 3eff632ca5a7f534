"""The stock VGG16 over HTTP, on a full-size weights file, against Keras' own pipeline."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from graft.vgg16.labels import decode_predictions
from graft.vgg16.sources import FULL
from tests.e2e.service import running


@pytest.fixture(scope="module")
def answers(official_weights: Path, real_pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What /health/ready, the card and the predict route (a form of three files) say; then the same pictures as JSON,
    asked of many models, which are this one, and embedded.
    """
    home = tmp_path_factory.mktemp("imagenet") / "home"
    # float32: Keras' own, whatever the machine has.
    with running(home, GRAFT_WEIGHTS_DIR=str(official_weights), GRAFT_PRECISION="float32") as service:
        files = [("file", (path.name, path.read_bytes())) for path in real_pictures[:3]]
        answer = service.http.post("/models/vgg16/predict", files=files).raise_for_status().json()
        instances = [{"b64": base64.b64encode(data).decode(), "filename": name} for _, (name, data) in files]
        many = service.http.post("/predict?models=vgg16", json={"instances": instances}).raise_for_status().json()
        embedded = service.http.post("/embed", files=files, headers={"Accept": "application/x-npy"}).raise_for_status()
        card = service.http.get("/models/vgg16/versions/1").json()
        ready = service.http.get("../../health/ready").json()
        assert "Traceback" not in service.log
    return ready, card, answer, many, np.load(BytesIO(embedded.content))


@pytest.fixture(scope="module")
def theirs(official_weights: Path, real_pictures: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Keras' probabilities for the three pictures, and the output of its last pooling."""
    model = keras.applications.VGG16(weights=str(official_weights / FULL.name))
    both = keras.Model(model.input, [model.output, model.get_layer("block5_pool").output])
    loaded = [keras.utils.img_to_array(keras.utils.load_img(p, target_size=(224, 224))) for p in real_pictures[:3]]
    probabilities, features = both.predict_on_batch(keras.applications.vgg16.preprocess_input(np.stack(loaded)))
    return probabilities, features


def test_labels_and_probabilities_are_those_of_keras(
    answers: Any, theirs: tuple[np.ndarray, np.ndarray], real_pictures: list[Path]
) -> None:
    _, _, alone, many, _ = answers
    for answer in (alone, *many["results"]):
        assert (answer["model"], answer["version"]) == ("vgg16", 1)
        rows = decode_predictions(theirs[0])
        for entry, path, row in zip(answer["predictions"], real_pictures[:3], rows, strict=True):
            assert entry["filename"] == path.name
            told = [(guess["wnid"], guess["label"], guess["index"]) for guess in entry["top"]]
            assert told == [(label.wnid, label.label, label.index) for label in row]
            probabilities = [guess["probability"] for guess in entry["top"]]
            assert probabilities == pytest.approx([label.probability for label in row], rel=1e-3)


def test_embeddings_are_those_of_keras(answers: Any, theirs: tuple[np.ndarray, np.ndarray]) -> None:
    _, features = theirs
    np.testing.assert_allclose(answers[-1], features.mean((1, 2)), rtol=1e-4, atol=1e-5 * features.max())


def test_weights_that_are_not_the_official_file_are_called_unverified(answers: Any) -> None:
    ready, card, *_ = answers
    assert (ready["classifier"], card["classifier"], card["status"]) == ("unverified", "unverified", "available")
