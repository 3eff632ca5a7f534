"""Two watches that end a job process when its supervisor is gone, so that nothing works on after its claim is lost."""

import ctypes
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_supervisor() -> None:
    """Linux kills this process when its parent dies; everywhere, the end of standard input ends its whole session.

    Standard input is a pipe that the supervisor holds open and never writes to.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_await_end_of_input, name="death watch", daemon=True).start()


def _await_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)
