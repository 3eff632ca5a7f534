"""The application on a home folder of its own, all of it real but the predictor: a trunk takes seconds to load."""

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from safetensors.numpy import save_file
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.deps import Services
from app.main import create_app
from graft.registry import METRICS, MODEL, REPORT, WEIGHTS, ModelCard, Parameter, Registry
from graft.settings import Settings
from graft.types import InputKey
from graft.vgg16.layers import HeadSpec
from graft.vgg16.weight_files import TRUNK_DIGEST
from tests.app.brightness import BrightnessPredictor
from tests.drawing import CLASSES, draw, encode, folder
from tests.monitors import Recorder


@cache
def paths() -> dict[str, Any]:
    """The OpenAPI document's, which are the same for every application."""
    found: dict[str, Any] = create_app(Settings()).openapi()["paths"]
    return found


def documented(method: str, path: str) -> set[str] | None:
    """The statuses that a route under /api/v1 may answer with; None where there is no such route."""
    for template, operations in paths().items():
        fits = re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path)
        if fits and path.startswith("/api/v1/") and method.lower() in operations:
            return set(operations[method.lower()]["responses"])
    return None


def leaving_once_answered(app: ASGIApp) -> ASGIApp:
    """The application as callers have it who send no more of a body once they are answered, and hang up."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        sending, answered = (
            "content-length" in Headers(scope=scope) or "transfer-encoding" in Headers(scope=scope),
            False,
        )

        async def receive_or_leave() -> Message:
            nonlocal sending
            if sending and answered:
                return {"type": "http.disconnect"}
            message = await receive()
            sending = message.get("more_body", False)
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal answered
            answered = message["type"] == "http.response.body"
            await send(message)

        await app(scope, receive_or_leave, send_and_note)

    return called


class Client:
    """httpx on the ASGI application, called from a plain test; `services` is what the application was composed of."""

    def __init__(self, portal: BlockingPortal, app: FastAPI) -> None:
        self._portal = portal
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(leaving_once_answered(app)), base_url="http://graft"
        )
        self.app = app

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    @property
    def predictor(self) -> BrightnessPredictor:
        predictor = self.services.engine.get()
        assert isinstance(predictor, BrightnessPredictor)
        return predictor

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask, and see that the OpenAPI document knows the answer's status."""
        answer = self._portal.call(partial(self._http.request, method, path, **options))
        statuses = documented(method, answer.url.path)
        assert statuses is None or str(answer.status_code) in statuses, f"{method} {path}: {answer.text}"
        return answer

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def validate(self) -> None:
        """Do the oldest waiting validation, as a worker would."""
        job = self.services.jobs.claim("datasets", "test")
        assert job is not None
        assert job.dataset is not None
        self.services.datasets.validate(job.dataset, Recorder())
        self.services.jobs.succeed(job.id, job.fence)

    def publish(self, model: str) -> int:
        """Train a model, in no time: reserve a version by a job, and publish random weights as it."""
        jobs, registry = self.services.jobs, self.services.registry
        jobs.create("train", model=model)
        job = jobs.claim("training", "test")
        assert job is not None
        version = jobs.reserve(job.id, job.fence, model)
        publish(registry, model, version, job.id)
        jobs.succeed(job.id, job.fence, version=version)
        return version


def publish(
    registry: Registry,
    model: str,
    version: int,
    job: str,
    *,
    trunk_digest: str = TRUNK_DIGEST,
    input: InputKey = InputKey(),  # noqa: B008 - frozen
    scale: float = 0.0,
    temperature: float = 1.0,
    report: Sequence[str] = ("confusion_matrix.png", "learning_curves.png", "report.html"),
) -> None:
    """A softmax on the pooled trunk; scale: of its seeded random weights."""
    kernel = np.random.default_rng(version).normal(0, scale, (512, 3)).astype(np.float32)
    weights = {"predictions/kernel": kernel, "predictions/bias": np.zeros(3, np.float32)}
    card = ModelCard(
        model=model,
        version=version,
        created_at=1_795_512_600_000,
        cut="block5_pool",
        tail=(),
        head=HeadSpec(pooling="avg", hidden_units=(), batch_norm=False, dropout=0.0, classes=3),
        classes=CLASSES,
        input=input,
        trunk_digest=trunk_digest,
        parameters=tuple(
            Parameter(name=name, shape=array.shape, trainable=True, count=array.size) for name, array in weights.items()
        ),
        trainable_parameters=1539,
        frozen_parameters=14_714_688,
        temperature=temperature,
        recipe={"preset": "feature-extraction"},
        dataset="ds_a",
        dataset_revision="0" * 64,
        job_id=job,
        metrics={"test": {"accuracy": 0.9}},
    )
    staged = registry.stage(model)
    (staged / MODEL).write_text(card.model_dump_json())
    save_file(weights, staged / WEIGHTS)
    (staged / METRICS).write_text(json.dumps({"test": {"accuracy": 0.9}}))
    (staged / REPORT).mkdir()
    for name in report:
        page = b"<!DOCTYPE html><p>signs</p>"
        (staged / REPORT / name).write_bytes(page if name.endswith(".html") else encode(draw("discs", 0), "PNG"))
    registry.publish(staged, model, version)


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def pictures_zip() -> bytes:
    """Six pictures of each of three classes."""
    return zipped(folder(6))


StartClient = Callable[..., Client]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartClient]:
    """Starts the application; settings by name, and `classifier`."""
    with start_blocking_portal() as portal:
        stops = []

        def start_client(*, classifier: bool = True, **settings: Any) -> Client:
            app = create_app(
                Settings(home=tmp_path / "home", **settings),
                predictor=lambda _settings, stores, _metrics: BrightnessPredictor(
                    stores.registry, classifier=classifier
                ),
            )
            running = portal.wrap_async_context_manager(app.router.lifespan_context(app))
            running.__enter__()
            stops.append(running)
            client = Client(portal, app)
            while client.services.engine.obstacle():  # the warm-up has a thread of its own
                pass
            return client

        yield start_client
        for running in stops:
            running.__exit__(None, None, None)


@pytest.fixture
def client(start: StartClient) -> Client:
    return start()


def check_problem(response: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    """The answer is a problem with this status, whose sentence has these words in it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:graft:error:")
    assert problem["title"]
    assert problem["error"] == problem["detail"]
    for word in words:
        assert word in problem["detail"]
    return problem
