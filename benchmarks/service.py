"""A server as a process of its own: `graft api` with the real trunk, or any other that listens on a port."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import Usage, usage
from tests.e2e.service import free_port, outside

START_SECONDS = 120.0


@dataclass(frozen=True)
class Server:
    """A process that listens on a port of this machine."""

    port: int
    pid: int

    def usage(self) -> Usage:
        return usage(self.pid)

    def status(self, path: str) -> int | None:
        """Of a GET; None where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            with closing(refused):
                return refused.code
        except OSError:
            return None


@contextmanager
def graft_api(home: Path, weights: Path, **settings: str) -> Iterator[Server]:
    """`graft api` without workers, once it is ready. settings: more of GRAFT_*, by their whole names."""
    port = free_port()
    mine = {"GRAFT_HOME": str(home), "GRAFT_WEIGHTS_DIR": str(weights), "GRAFT_PORT": str(port), **settings}
    with listening([sys.executable, "-m", "graft.cli", "api"], mine, port, home / "api.log") as server:
        yield server


@contextmanager
def uvicorn(factory: str, log: Path, ready: str = "/health/ready", **settings: str) -> Iterator[Server]:
    """An application by the name of its factory, `module:function`, once `ready` answers 200."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", factory, "--factory", "--port", str(port), "--no-access-log"]
    with listening(command, settings, port, log, ready) as server:
        yield server


@contextmanager
def listening(
    command: Sequence[str], settings: Mapping[str, str], port: int, log: Path, ready: str = "/health/ready"
) -> Iterator[Server]:
    """The command as a process, once `ready` answers 200 on the port; it is asked to end, and waited for, afterwards.

    Raises RuntimeError with the end of its log where it ends before that, or takes minutes.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(command, env={**outside(), **settings}, stdout=file, stderr=subprocess.STDOUT)
    server, until = Server(port, process.pid), time.monotonic() + START_SECONDS
    try:
        while server.status(ready) != 200:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{' '.join(command)} must come to answer; it did not:\n{log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
