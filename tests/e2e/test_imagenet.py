"""The stock VGG16 over HTTP, on a full-size weights file, against Keras' own pipeline."""

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
    """What /health/ready, the card and the predict route (a form of three files) say."""
    home = tmp_path_factory.mktemp("imagenet") / "home"
    with running(home, GRAFT_WEIGHTS_DIR=str(official_weights)) as service:
        files = [("file", (path.name, path.read_bytes())) for path in real_pictures[:3]]
        answer = service.http.post("/models/vgg16/predict", files=files).raise_for_status().json()
        card = service.http.get("/models/vgg16/versions/1").json()
        ready = service.http.get("../../health/ready").json()
        assert "Traceback" not in service.log
    return ready, card, answer


def test_labels_and_probabilities_are_those_of_keras(
    answers: Any, official_weights: Path, real_pictures: list[Path]
) -> None:
    model = keras.applications.VGG16(weights=str(official_weights / FULL.name))
    loaded = [keras.utils.img_to_array(keras.utils.load_img(p, target_size=(224, 224))) for p in real_pictures[:3]]
    theirs = model.predict_on_batch(keras.applications.vgg16.preprocess_input(np.stack(loaded)))
    answer = answers[2]
    assert (answer["model"], answer["version"]) == ("vgg16", 1)
    for entry, path, row in zip(answer["predictions"], real_pictures[:3], decode_predictions(theirs), strict=True):
        assert entry["filename"] == path.name
        assert [(g["wnid"], g["label"], g["index"]) for g in entry["top"]] == [(k.wnid, k.label, k.index) for k in row]
        assert [g["probability"] for g in entry["top"]] == pytest.approx([k.probability for k in row], rel=1e-3)


def test_weights_that_are_not_the_official_file_are_called_unverified(answers: Any) -> None:
    ready, card, _ = answers
    assert (ready["classifier"], card["classifier"], card["status"]) == ("unverified", "unverified", "available")
