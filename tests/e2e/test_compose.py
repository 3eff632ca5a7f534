"""The compose file's commands with its settings, as processes: two APIs, two workers a queue, real servers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.deploy.compose import OWN, command_of, image_of, services
from tests.drawing import CLASSES, folder, jpeg, zip_of
from tests.e2e.api import Api
from tests.e2e.service import free_port, outside

REPLICAS = 2
RECIPE = {"epochs": 1, "batch_size": 9, "steps_per_epoch": 4, "learning_rate": 1e-3}
KEY = OWN["GRAFT_API_KEYS"].split(",")[0]


@dataclass(frozen=True)
class Container:
    """A process in a container's place: it has the container's command and environment."""

    service: str
    process: subprocess.Popen[bytes]
    log_file: Path
    port: int


class Stack:
    """Every service of the default profile that runs Graft, REPLICAS times.

    Different from containers: a port each, as they share this machine's; the tests' trunk, as nothing is downloaded.
    """

    def __init__(self, folder: Path, servers: dict[str, str], trunk: Path) -> None:
        self._folder = folder
        self._servers = servers  # a host's name in the compose file -> the address of the real one
        self._own = {"GRAFT_HOME": str(folder / "home"), "HOME": str(folder), "GRAFT_WEIGHTS_DIR": str(trunk.parent)}
        self.containers: list[Container] = []

    def __enter__(self) -> "Stack":
        (self._folder / "home").mkdir()
        for name, service in services().items():
            if "build" in service and "profiles" not in service:
                self.containers += [self._start(f"{name}-{number}", name, service) for number in range(REPLICAS)]
        return self

    def __exit__(self, *_: object) -> None:
        for container in self.containers:
            container.process.kill()
            container.process.wait()
            print(container.log_file.name, container.log_file.read_text(), sep="\n")  # shown where a test fails

    def _start(self, own_name: str, name: str, service: dict[str, Any]) -> Container:
        port, log_file = free_port(), self._folder / f"{own_name}.log"
        given = {**image_of(service).environment, **service["environment"]}
        given |= {key: self._servers[urlsplit(given[key]).hostname or ""] for key in given if key.endswith("_URL")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**outside(), **given, **self._own, "PATH": path, "GRAFT_PORT": str(port)}
        with log_file.open("wb") as log:
            process = subprocess.Popen(command_of(service), env=environment, stdout=log, stderr=subprocess.STDOUT)
        return Container(name, process, log_file, port)

    def of(self, service: str) -> list[Container]:
        return [container for container in self.containers if container.service == service]

    def logs(self, service: str) -> str:
        return "".join(container.log_file.read_text() for container in self.of(service))

    def stop(self) -> dict[str, int]:
        """SIGTERM to all, as `docker compose stop` sends it; each one's exit status, within its grace."""
        for container in self.containers:
            container.process.send_signal(signal.SIGTERM)
        grace = float(services()["api"]["stop_grace_period"].removesuffix("s"))
        return {container.log_file.stem: container.process.wait(grace) for container in self.containers}


@pytest.fixture
def stack(postgresql_url: str, redis_url: str, trunk_file: Path, tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, {"postgres": postgresql_url, "redis": redis_url}, trunk_file) as stack:
        yield stack


@pytest.fixture
def apis(stack: Stack) -> Iterator[list[Api]]:
    with ExitStack() as clients:
        apis = [Api(container.port, container.log_file, key=KEY) for container in stack.of("api")]
        for api, container in zip(apis, stack.of("api"), strict=True):
            clients.enter_context(api.http)
            api.until("live", container.process)
        yield apis


def healthy(command: list[str], port: int) -> bool:
    """Whether a health check says so, asked of the process that stands for the container."""
    program, *arguments = command
    asked = [argument.replace("8000", str(port)) for argument in arguments]
    return subprocess.run([sys.executable if program == "python" else program, *asked], check=False).returncode == 0


def test_the_main_job_through_what_the_compose_file_starts(stack: Stack, apis: list[Api], tmp_path: Path) -> None:
    """Uploaded to one API, trained by way of the other, and answered by both, while they are still warming up."""
    first, second = apis
    assert httpx.get(f"{first.url}/api/v1/datasets").status_code == 401
    dataset = first.upload(zip_of(folder(4), tmp_path / "shapes.zip"), "shapes")
    job = second.train(dataset["id"], "shapes", RECIPE)
    assert (job["version"], job["failures"]) == (1, 0)
    for api, container in zip(apis, stack.of("api"), strict=True):
        api.until("ready", container.process)
        assert healthy(services()["api"]["healthcheck"]["test"][1:], container.port)
    answers = [api.predict("shapes", jpeg("stripes", 500)) for api in apis]
    assert answers[0] == answers[1]
    assert {guess["label"] for guess in answers[0]["predictions"][0]["top"]} == set(CLASSES)
    assert set(stack.stop().values()) == {0}
    assert stack.logs("api").count("Application shutdown complete") == REPLICAS
    assert stack.logs("datasets").count("is succeeded") == stack.logs("training").count("is succeeded") == 1
    assert "Traceback" not in "".join(map(stack.logs, ("api", "datasets", "training")))
