"""The HTTP application. Importing it reads no setting, connects to nothing and leaves TensorFlow alone."""

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI

from app import errors, query
from app.auth import SCHEMES, require_key
from app.draining import Drain
from app.lifespan import PredictorFactory, lifespan, tensorflow_predictor
from app.lingering import Lingering
from app.metrics import Measured, Metrics
from app.middleware import RequestId
from app.routes import datasets, embed, fine_tune, health, jobs, metrics, models, plan, predict
from app.schemas import Problem
from graft.settings import Settings

DESCRIPTION = """VGG16 as a service: ImageNet predictions, and new classifiers grafted onto its trunk.

Upload a folder of labelled pictures, as an archive or file by file, train a model on it, and ask the model at its own
route.
Every failure is `application/problem+json` with a sentence that says what to do."""


class Api(FastAPI):
    """FastAPI, with the schema that the documented problems refer to."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["schemas"].setdefault("Problem", Problem.model_json_schema())
        return document


def create_app(settings: Settings | None = None, *, predictor: PredictorFactory = tensorflow_predictor) -> FastAPI:
    """The application; `settings` come from the environment when none are given."""
    settings = settings or Settings()
    counted, drain = Metrics(), Drain()
    app = Api(
        title="Graft",
        version=version("graft"),
        description=DESCRIPTION,
        lifespan=lifespan(settings, predictor, counted, drain),
        redoc_url=None,
        redirect_slashes=False,  # it would send callers to whatever their Host header says
    )
    app.state.api_keys = settings.api_keys
    app.add_middleware(RequestId)
    app.add_middleware(Lingering, drain=drain)
    app.add_middleware(Measured, requests=counted.requests, routes=app.routes)
    errors.install(app)
    api = APIRouter(prefix="/api/v1", dependencies=[*SCHEMES, Depends(require_key), Depends(query.refuse_unknown)])
    for routes in (predict, embed, models, datasets, plan, fine_tune, jobs):
        api.include_router(routes.router)
    app.include_router(api)
    app.include_router(health.router)
    app.include_router(metrics.router)
    return app
