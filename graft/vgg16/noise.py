"""TensorFlow's lines about its own build, which no setting of TensorFlow 2.21 keeps off standard error.

C++ writes them while the package is imported, so whoever starts such a process filters its output.
"""

import os
import re
import sys
from contextlib import suppress
from typing import IO

_NOISE = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    # Severity, month and day, time, thread, file and line: Abseil's prefix.
    r"|I\d{4} [\d:.]+ +\d+ port\.cc:\d+\] oneDNN custom operations are on\. .*"
)


def is_tensorflow_noise(line: str) -> bool:
    """Whether a line of a process's output, with or without its end, is one of these and nothing more."""
    return _NOISE.fullmatch(line.rstrip("\r\n")) is not None


class QuietPipe:
    """The standard error of a child, passed on to ours line by line without the noise. It is read in turns.

    Not in a thread: a process with threads cannot safely fork its next child. `pipe`: unbuffered.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._rest = b""

    def forward(self) -> bool:
        """Pass on the whole lines of what has come, at most a pipe's capacity; False when nothing had."""
        piece = self._pipe.read(1024 * 1024)
        if not piece:  # None: nothing now; empty: the end
            return False
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            _pass_on(line + b"\n")
        return True

    def close(self) -> None:
        """Pass on everything that is left."""
        while self.forward():
            pass
        _pass_on(self._rest)
        self._pipe.close()


def _pass_on(line: bytes) -> None:
    if not is_tensorflow_noise(line.decode("utf-8", "replace")):
        with suppress(OSError):  # the terminal is gone: no reason to leave the child alone
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
