"""The service that a tutorial would write: FastAPI and Keras, a whole model for each endpoint, loaded once.

`POST /mN/predict` answers by `model.predict`, `POST /mN/call` by calling the model. Nothing of Graft is in it.

    NAIVE_WEIGHTS=vgg16_notop.h5 NAIVE_MODELS=10 uvicorn benchmarks.naive:create_app --factory
"""

import os
from io import BytesIO
from typing import Any

import numpy as np
from fastapi import FastAPI, File, UploadFile
from keras import Model, layers
from keras.applications.vgg16 import VGG16, preprocess_input
from keras.utils import img_to_array, load_img

CLASSES = 10


def create_app() -> FastAPI:
    app = FastAPI()
    for i in range(int(os.environ["NAIVE_MODELS"])):
        add_endpoints(app, f"/m{i}", build(os.environ["NAIVE_WEIGHTS"]))
    return app


def build(weights: str) -> Any:
    """The trunk, a global average and a softmax."""
    trunk = VGG16(weights=weights, include_top=False, input_shape=(224, 224, 3))
    x = layers.GlobalAveragePooling2D()(trunk.output)
    return Model(trunk.input, layers.Dense(CLASSES, activation="softmax")(x))


def add_endpoints(app: FastAPI, path: str, model: Any) -> None:
    @app.post(f"{path}/predict")
    def predict(file: UploadFile = File(...)) -> dict[str, Any]:  # noqa: B008 - FastAPI's own way
        return answer(model.predict(read(file), verbose=0))

    @app.post(f"{path}/call")
    def call(file: UploadFile = File(...)) -> dict[str, Any]:  # noqa: B008
        return answer(model(read(file), training=False).numpy())


def read(file: UploadFile) -> np.ndarray:
    picture = load_img(BytesIO(file.file.read()), target_size=(224, 224))
    numbers: np.ndarray = preprocess_input(np.expand_dims(img_to_array(picture), axis=0))
    return numbers


def answer(probabilities: np.ndarray) -> dict[str, Any]:
    index = int(np.argmax(probabilities[0]))
    return {"class": index, "probability": float(probabilities[0][index])}
