"""The composition root of the API: settings in, everything that the routes call out."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from app.deps import Limits, Services
from app.doorbell import CeleryDoorbell
from app.draining import Drain
from app.predicts import Predicts
from app.warmup import Warmup
from graft.database import connect, migrate
from graft.datasets import ArchiveLimits, Datasets
from graft.jobs import Jobs, broker_options
from graft.registry import Registry
from graft.settings import Settings
from graft.vgg16.weights import WeightStore

PredictorFactory = Callable[[Settings, Registry], Predicts]
# Requests that wait for a prediction at the same time; the next ones wait for a place among them.
PREDICTING = 64


def tensorflow_predictor(settings: Settings, registry: Registry) -> Predicts:
    """The real one. TensorFlow is imported here, in the warm-up's thread: it takes seconds."""
    from graft.engine.predictor import Predictor

    weights = WeightStore(settings.home / "weights", settings.weights_dir, settings.weights_url)
    return Predictor(
        registry,
        weights,
        memory_bytes=settings.models_memory_bytes,
        max_pixels=settings.picture_pixels,
        timeout=settings.predict_timeout_seconds,
    )


def lifespan(settings: Settings, predictor: PredictorFactory) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Connect, migrate and start the warm-up; on the way out, let accepted predictions finish."""

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        engine = connect(settings.sqlalchemy_url)
        doorbell = CeleryDoorbell(broker_options(settings.broker_url, settings.home))
        try:
            await run_in_threadpool(migrate, engine)
            registry = Registry(settings.home / "registry", engine)
            services = Services(
                jobs=Jobs(engine, lease_seconds=settings.lease_seconds),
                datasets=Datasets(engine, settings.home, archive_limits(settings)),
                registry=registry,
                doorbell=doorbell,
                engine=Warmup(lambda: predictor(settings, registry)),
                drain=Drain(),
                limits=Limits(settings.predict_body_bytes, settings.predict_pictures, settings.archive_bytes),
                predicting=CapacityLimiter(PREDICTING),
            )
            await run_in_threadpool(_sweep, services)
            app.state.services = services
            services.engine.begin()
            with services.drain.watching():
                yield
            await run_in_threadpool(services.engine.close)
        finally:
            await run_in_threadpool(doorbell.close)
            engine.dispose()

    return run


def _sweep(services: Services) -> None:
    """Remove what crashes have left behind, and log the model versions that are damaged."""
    services.datasets.sweep()
    services.registry.sweep()


def archive_limits(settings: Settings) -> ArchiveLimits:
    return ArchiveLimits(
        bytes=settings.archive_bytes,
        entries=settings.archive_entries,
        file_bytes=settings.archive_file_bytes,
        ratio=settings.archive_ratio,
        picture_pixels=settings.picture_pixels,
    )
