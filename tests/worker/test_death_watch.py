"""Each of the two watches alone."""

import os
import signal
import subprocess
import sys

import pytest

from tests.worker.workshop import ROOT, alive, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")

# Watches, says so, and waits for ever; with a child of its own that must not outlive the session.
WATCHED = """
import os, subprocess, sys, threading
from worker.death_watch import end_with_supervisor
end_with_supervisor()
child = subprocess.Popen(["sleep", "3600"])
print(os.getpid(), child.pid, flush=True)
threading.Event().wait()
"""
# Starts a watched process on its own standard input, and waits for ever.
PARENT = f"""
import subprocess, sys, threading
subprocess.Popen([sys.executable, "-c", {WATCHED!r}], start_new_session=True)
threading.Event().wait()
"""


def start(code: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """The process, and the numbers of the watched one and of its child."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
    )
    assert process.stdout is not None
    watched, child = process.stdout.readline().split()
    return process, int(watched), int(child)


def close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def test_the_end_of_standard_input_ends_the_whole_session() -> None:
    process, watched, child = start(WATCHED)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait() == -signal.SIGKILL
    assert process.pid == watched
    until(lambda: not alive(child))
    close(process)


def test_the_death_of_the_parent_ends_the_process_though_the_pipe_stays_open() -> None:
    parent, watched, child = start(PARENT)
    assert alive(watched)
    parent.kill()
    parent.wait()
    until(lambda: not alive(watched))
    assert parent.stdin is not None
    assert not parent.stdin.closed
    os.kill(child, signal.SIGKILL)
    close(parent)
