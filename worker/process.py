"""One job process, seen from its supervisor: a fresh interpreter in its own session, with its output drained."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from graft.vgg16.noise import is_tensorflow_noise

RELEASED = 75  # the exit status for "asked to stop, and my state is saved" (EX_TEMPFAIL)
_LINE_BYTES = 64 * 1024
_DRAIN_SECONDS = 5.0


class JobProcess:
    """Started on entering the `with` block; on leaving it nothing of the process's session is left.

    Its standard input is a pipe that nobody writes to: its end of file tells the process that the supervisor is gone.
    """

    def __init__(self, command: Sequence[str], *, on_exit: Callable[[], None]) -> None:
        self._command = command
        self._on_exit = on_exit
        self._exited = threading.Event()
        self._tail: deque[str] = deque(maxlen=1)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._drain = threading.Thread(target=self._forward_output, name="job output", daemon=True)
        self._drain.start()
        threading.Thread(target=self._await_exit, name="job exit", daemon=True).start()
        return self

    def __exit__(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._exited.wait()
        self._process.wait()
        self._drain.join(_DRAIN_SECONDS)  # a grandchild in a session of its own could still hold the pipe
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not self._drain.is_alive():
                pipe.close()

    @property
    def running(self) -> bool:
        return not self._exited.is_set()

    @property
    def status(self) -> int:
        """The exit status, or minus the number of the signal that ended it."""
        return self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            os.kill(self._process.pid, number)  # send_signal would reap it first

    def kill(self) -> None:
        """SIGKILL for the process and its children. It is not reaped before, so the number is still its own."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """How it ended, and the last line that it wrote."""
        how = f"status {self.status}" if self.status >= 0 else f"signal {signal.Signals(-self.status).name}"
        said = f" Its last line: {self._tail[0]}" if self._tail else ""
        return f"The job process ended with {how}.{said}"

    def _await_exit(self) -> None:
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._exited.set()
        self._on_exit()

    def _forward_output(self) -> None:
        stream = self._process.stdout
        while stream is not None and (line := stream.readline(_LINE_BYTES)):
            text = line.decode(errors="replace").rstrip()
            if is_tensorflow_noise(text):
                continue
            if text:
                self._tail.append(text[:500])
            with suppress(OSError):  # nobody reads our log: the job must not block on a full pipe for that
                sys.stderr.write(text + "\n")
                sys.stderr.flush()
