"""A running API, spoken to over HTTP as a user does."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx

PAUSE = 0.1  # seconds between two looks


class Api:
    """An API on a port of this machine. `log`: all that it and what was started with it have printed so far."""

    def __init__(self, port: int, log_file: Path, *, key: str | None = None) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log_file = log_file
        headers = {"X-API-Key": key} if key else {}
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=60)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def finished(self, path: str, *, within: float = 600) -> dict[str, Any]:
        """The dataset or job at `path`, once it has an end. Raises AssertionError with the log where that is bad."""
        thing: dict[str, Any] = {}

        def ended() -> bool:
            thing.update(self.http.get(path).raise_for_status().json())
            return thing["state"] in ("ready", "rejected", "succeeded", "failed", "cancelled")

        self.wait(ended, within, path)
        if thing["state"] not in ("ready", "succeeded"):
            raise AssertionError(f"{path} ended {thing['state']}: {thing}\n{self.log}")
        return thing

    def upload(self, archive: Path, name: str) -> dict[str, Any]:
        """A ready dataset of the zip at `archive`."""
        with archive.open("rb") as body:
            answer = self.http.post("/datasets", params={"name": name}, content=body)
        return self.finished(f"/datasets/{answer.raise_for_status().json()['id']}")

    def train(self, dataset: str, model: str, recipe: str | dict[str, Any]) -> dict[str, Any]:
        """A succeeded job."""
        answer = self.http.post("/jobs", json={"dataset": dataset, "model": model, "recipe": recipe})
        return self.finished(f"/jobs/{answer.raise_for_status().json()['id']}", within=1800)

    def predict(self, model: str, picture: bytes, top: int = 5) -> dict[str, Any]:
        answer = self.http.post(f"/models/{model}/predict", params={"top": top}, content=picture)
        prediction: dict[str, Any] = answer.raise_for_status().json()
        return prediction

    def count(self, job: str, type: str) -> int:
        """Events of one type that the job has logged."""
        events = self.http.get(f"/jobs/{job}/events", params={"limit": 500}).raise_for_status().json()["data"]
        return sum(event["type"] == type for event in events)

    def until(self, health: str, process: Popen[bytes]) -> None:
        """Wait for `live` or `ready`. Raises AssertionError where the process ends before that."""

        def healthy() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"{process.args!r} ended with {process.returncode}:\n{self.log}")
            try:
                return httpx.get(f"{self.url}/health/{health}").status_code == 200
            except httpx.TransportError:
                return False

        self.wait(healthy, 300, health)

    def wait(self, condition: Callable[[], bool], within: float, what: str) -> None:
        deadline, pause = time.monotonic() + within, threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come within {within} s:\n{self.log}")
            pause.wait(PAUSE)
