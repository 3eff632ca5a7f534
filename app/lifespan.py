"""The composition root of the API: settings in, everything that the routes call out."""

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from app.deps import Limits, Services
from app.doorbell import CeleryDoorbell
from app.draining import Drain
from app.metrics import Metrics, Scrapes
from app.predictor import Predicts
from app.streams import Streams
from app.warmup import Warmup
from graft.database import connect, migrate
from graft.engine.metrics import EngineMetrics
from graft.idempotency import IdempotencyKeys
from graft.jobs import broker_options
from graft.settings import Settings
from graft.stores import Stores, open_stores
from graft.work import Work

PredictorFactory = Callable[[Settings, Stores, EngineMetrics], Predicts]


def tensorflow_predictor(settings: Settings, stores: Stores, metrics: EngineMetrics) -> Predicts:
    """The real one. TensorFlow is imported here, in the warm-up's thread: it takes seconds."""
    from graft.engine.predictor import Predictor

    # The garbage collector would look through all that TensorFlow is made of again and again, which stops every
    # request for up to half a second.
    gc.freeze()
    return Predictor(
        stores.registry,
        stores.weights,
        memory_bytes=settings.models_memory_bytes,
        max_pixels=settings.picture_pixels,
        timeout=settings.predict_timeout_seconds,
        precision=settings.precision,
        metrics=metrics,
    )


def lifespan(
    settings: Settings, predictor: PredictorFactory, metrics: Metrics, drain: Drain
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Connect, migrate and start the warm-up; on the way out, let accepted predictions finish."""

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        engine = connect(settings.sqlalchemy_url)
        doorbell = CeleryDoorbell(broker_options(settings.broker_url, settings.home))
        try:
            await run_in_threadpool(migrate, engine)
            stores = open_stores(settings, engine)
            streams = Streams(stores.jobs)
            services = Services(
                jobs=stores.jobs,
                datasets=stores.datasets,
                registry=stores.registry,
                idempotency=IdempotencyKeys(engine),
                work=Work(stores.datasets, stores.jobs, stores.registry, doorbell),
                engine=Warmup(lambda: predictor(settings, stores, metrics.engine)),
                streams=streams,
                drain=drain,
                limits=Limits(settings.predict_body_bytes, settings.predict_pictures, settings.archive_bytes),
                scrapes=Scrapes(metrics.registry, stores.jobs),
            )
            await run_in_threadpool(_sweep, services)
            app.state.services = services
            services.engine.begin()
            async with streams.looking():
                with drain.at_end(streams.close), drain.watching():
                    yield
            await run_in_threadpool(services.engine.close)
        finally:
            await run_in_threadpool(doorbell.close)
            engine.dispose()

    return run


def _sweep(services: Services) -> None:
    """Put right what crashes have left behind, and log the model versions that are damaged."""
    services.datasets.sweep()
    services.registry.sweep()
    services.work.queue_forgotten_validations()
