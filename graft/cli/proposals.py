"""What a command proposes to do next, to be pasted into the same shell."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from graft.client import DEFAULT_URL


def proposal(url: str, command: str, *words: str) -> str:
    """Such as: graft watch job_1. It names the address where the environment does not."""
    address = [] if url == (os.environ.get("GRAFT_URL") or DEFAULT_URL) else ["--url", shlex.quote(url)]
    return " ".join([program(), command, *address, *words])


def program() -> str:
    """How this program was called."""
    called = Path(sys.argv[0])
    if called.name != "graft":
        return "graft"
    return "graft" if shutil.which("graft") == sys.argv[0] else sys.argv[0]
