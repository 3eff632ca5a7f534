"""The service as a user runs it: `graft up` on a free port, in a home of its own, spoken to over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

PAUSE = 0.1  # seconds between two looks


class Service:
    """A running `graft up`. `log` is everything that it and its children have printed so far."""

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")},
            **settings,
            "GRAFT_HOME": str(home),
            "GRAFT_PORT": str(_free_port()),
        }
        self._log_file = home / "up.log"
        self.url = f"http://127.0.0.1:{self._environment['GRAFT_PORT']}"
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=60)

    def __enter__(self) -> Self:
        command = [str(Path(sys.executable).with_name("graft")), "up"]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            self._until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.stop()

    def stop(self) -> int:
        """Ctrl-C, where it still runs; the exit status."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=30)

    @property
    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

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

    def process_id(self, command: str) -> int:
        """Of the one process among this service's descendants with these words in its command line."""
        parents, found = {self._process.pid}, []
        for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda p: int(p.name)):
            try:
                words = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except FileNotFoundError:
                continue
            if parent in parents:
                parents.add(int(folder.name))
                found += [int(folder.name)] if command in words else []
        (one,) = found
        return one

    def _until_ready(self) -> None:
        def ready() -> bool:
            if self._process.poll() is not None:
                raise AssertionError(f"graft up ended with {self._process.returncode}:\n{self.log}")
            try:
                return httpx.get(f"{self.url}/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        self.wait(ready, 300, "ready")

    def wait(self, condition: Callable[[], bool], within: float, what: str) -> None:
        deadline, pause = time.monotonic() + within, threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come within {within} s:\n{self.log}")
            pause.wait(PAUSE)


@contextmanager
def running(home: Path, **settings: str) -> Iterator[Service]:
    """`graft up` with these GRAFT_* settings beside home and port, until the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    with Service(home, settings) as service:
        yield service


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
