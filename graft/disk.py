"""Files that are whole or not there, and the one word for a full disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from graft.errors import DiskFull

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Turn the system's two words for a full disk into DiskFull. `what` begins the sentence: "An upload"."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(
                f"{what} needs room under GRAFT_HOME, and the disk is full. "
                "Free some, delete datasets or models, or give GRAFT_HOME a larger disk."
            ) from error
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write aside, bring to disk, rename: after a crash the file is whole or not there. Makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Bring a file's content, or the names in a folder, safely to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
