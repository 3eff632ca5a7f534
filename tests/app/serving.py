"""The application for a process of its own: `uvicorn tests.app.serving:gated --factory`, settings from outside."""

from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from app.main import create_app
from graft.engine.answers import Prediction
from graft.registry import Registry
from tests.app.brightness import BrightnessPredictor


class GatedPredictor(BrightnessPredictor):
    """Answers once the named pipe `gate` has been opened for writing and closed again."""

    def __init__(self, registry: Registry, gate: Path) -> None:
        super().__init__(registry)
        self._gate = gate

    async def predict(
        self,
        model: str,
        files: Sequence[tuple[str | None, bytes]],
        *,
        version: int | None = None,
        alias: str | None = None,
        top: int = 5,
        timeout: float | None = None,
    ) -> Prediction:
        await run_in_threadpool(self._gate.read_bytes)
        return await super().predict(model, files, version=version, alias=alias, top=top, timeout=timeout)


def gated() -> FastAPI:
    return create_app(
        predictor=lambda settings, stores, _metrics: GatedPredictor(stores.registry, settings.home / "gate")
    )
