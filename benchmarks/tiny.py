"""The service on a trunk that computes next to nothing: what is left is the service itself.

    uvicorn benchmarks.tiny:create_app --factory

GRAFT_* settings as ever; TINY_SECONDS: how long its device takes for a picture, 0 unless set.
"""

import os
import time
from collections.abc import Collection

from fastapi import FastAPI

from app import main
from app.predictor import Predicts
from graft.engine.metrics import EngineMetrics
from graft.engine.predictor import Predictor
from graft.settings import Settings
from graft.stores import Stores
from graft.types import Precision
from graft.vgg16.layers import INPUT
from graft.vgg16.trunk import Features
from tests.trunks import TinyTrunk


class SlowTrunk(TinyTrunk):
    """Takes so long for a picture, and no processor meanwhile: a device with a capacity that is known."""

    def __init__(self, precision: Precision, device: str, seconds: float) -> None:
        super().__init__(precision, device)
        self._seconds = seconds

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        if start == INPUT:
            time.sleep(self._seconds * len(pictures))
        return super().run(pictures, start, cuts)


def create_app() -> FastAPI:
    seconds = float(os.environ.get("TINY_SECONDS", "0"))

    def predictor(settings: Settings, stores: Stores, metrics: EngineMetrics) -> Predicts:
        return Predictor(
            stores.registry,
            stores.weights,
            memory_bytes=settings.models_memory_bytes,
            max_pixels=settings.picture_pixels,
            timeout=settings.predict_timeout_seconds,
            precision="float32",
            metrics=metrics,
            trunk=lambda precision, device: SlowTrunk(precision, device, seconds),
        )

    return main.create_app(predictor=predictor)
