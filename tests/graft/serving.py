"""The real application behind a real listener, for whoever speaks HTTP."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from app.main import create_app
from graft.settings import Settings
from tests.app.brightness import BrightnessPredictor
from tests.app.conftest import Client


class Service(Client):
    """`url`: where it listens. Work is done by hand, as tests/app does it, through `services`."""

    def __init__(self, url: str, app: FastAPI) -> None:
        self.url = url
        self.app = app


@contextmanager
def serving(home: Path, **settings: object) -> Iterator[Service]:
    app = create_app(
        Settings.model_validate({"home": home, **settings}),
        predictor=lambda _settings, stores, _metrics: BrightnessPredictor(stores.registry),
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            service = Service(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
            while not server.started or service.services.engine.obstacle():
                assert thread.is_alive()
            yield service
        finally:
            server.should_exit = True
            thread.join()
