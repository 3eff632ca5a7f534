"""The service as a user runs it: `graft up` on a free port, in a home of its own, spoken to over HTTP."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.e2e.api import Api

GRAFT = str(Path(sys.executable).with_name("graft"))


class Service(Api):
    """A running `graft up`."""

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        port = free_port()
        self._environment = {**outside(), **settings, "GRAFT_HOME": str(home), "GRAFT_PORT": str(port)}
        super().__init__(port, home / "up.log")

    def __enter__(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen([GRAFT, "up"], env=self._environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            self.until("ready", self._process)
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


@contextmanager
def running(home: Path, **settings: str) -> Iterator[Service]:
    """`graft up` with these GRAFT_* settings beside home and port, until the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    with Service(home, settings) as service:
        yield service


def outside() -> dict[str, str]:
    """This process's environment without a developer's own settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
