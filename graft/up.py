"""`graft up`: the API and both workers as children of one process, and the line that says where they listen."""

import errno
import os
import socket
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address

import httpx

from graft.children import RULES, Command, Rules, Supervisor
from graft.settings import Settings


class Announcement:
    """Says once that the service is ready and what to try; where that takes long, says what it waits for."""

    def __init__(
        self,
        address: str,
        *,
        everywhere: bool = False,
        with_keys: bool,
        say: Callable[[str], None],
        every: float = 1.0,
        patience: float = 30.0,
    ) -> None:
        self._address = address
        self._where = f"every address of this machine, here {address}" if everywhere else address
        self._every = every  # seconds between two looks
        self._patience = patience  # seconds without a word
        self._key = " -H 'X-API-Key: …'" if with_keys else ""
        self._say = say
        self._began = time.monotonic()
        self._next = 0.0
        self._done = False
        self._advice = ""

    def look(self) -> None:
        """Ask /health/ready until it answers 200."""
        now = time.monotonic()
        if self._done or now < self._next:
            return
        self._next = now + self._every
        try:
            answer = httpx.get(f"{self._address}/health/ready", timeout=1.0, trust_env=False)
        except httpx.TransportError:
            return
        if answer.is_success:
            self._done = True
            self._say(
                f"Graft listens on {self._where} (docs at {self._address}/docs). "
                f"Try: curl{self._key} -T pictures.zip '{self._address}/api/v1/datasets?name=pictures'"
            )
        elif now - self._began > self._patience and (advice := _detail(answer)) != self._advice:
            self._advice = advice
            self._say(f"Graft is not ready yet. {advice}")


def _detail(problem: httpx.Response) -> str:
    """The sentence of a problem+json answer."""
    try:
        return str(problem.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"It answers {problem.status_code}."


def free_port(host: str, port: int) -> int:
    """The port to listen on; a free one for 0. Raises OSError when nobody can listen there now."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    with socket.create_server((host, port), family=family) as server:
        return int(server.getsockname()[1])


def address(host: str, port: int) -> str:
    """Where this machine reaches a listener on `host`, which may be a wildcard."""
    if is_wildcard(host):
        host = "127.0.0.1" if ip_address(host).version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_wildcard(host: str) -> bool:
    """Whether a listener on `host` listens on every address."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:  # a name
        return False


def up(settings: Settings, say: Callable[[str], None]) -> int:
    """Run the whole service until it is stopped; the exit code. The children read the same GRAFT_* settings."""
    try:
        port = free_port(settings.host, settings.port)
    except OSError as error:
        reason = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        say(
            f"Graft must be able to listen on {settings.host}:{settings.port}: {reason}. "
            "Set GRAFT_HOST or GRAFT_PORT to an address that is free, as in: GRAFT_PORT=8001 make up"
        )
        return 1
    graft = (sys.executable, "-m", "graft.cli")
    commands = (
        Command("The API", (*graft, "api", "--log-level", "warning")),
        Command("The worker for datasets", (*graft, "worker", "datasets")),
        Command("The worker for training", (*graft, "worker", "training")),
    )
    announcement = Announcement(
        address(settings.host, port), everywhere=is_wildcard(settings.host), with_keys=bool(settings.api_keys), say=say
    )
    rules = Rules(grace=max(RULES.grace, settings.stop_seconds))
    supervisor = Supervisor(commands, environment={**os.environ, "GRAFT_PORT": str(port)}, say=say, rules=rules)
    return supervisor.run(announcement.look)
