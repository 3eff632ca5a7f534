"""Look at every file of a dataset: each content is read, hashed and decoded once."""

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from graft import images
from graft.errors import Interrupted, NotAPicture, TooLarge, Truncated
from graft.images import Traits
from graft.types import Monitor, Progress

CHUNK = 8  # files that a thread takes at once


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a content is no usable picture. code: for programs, message: for people."""

    code: str
    message: str


def inspect(
    hashes: Sequence[str], read: Callable[[str], bytes], *, max_pixels: int, monitor: Monitor
) -> dict[str, Traits | Flaw]:
    """sha256 -> what the picture is like, or why it is none. Raises Interrupted when told to stop.

    Decodes in as many threads as there are cores (Pillow frees the interpreter while it works), one picture in each.
    """
    looks: dict[str, Traits | Flaw] = {}
    started = time.monotonic()

    def look(chunk: Sequence[str]) -> list[Traits | Flaw]:
        return [_look(read(sha256), sha256, max_pixels) for sha256 in chunk]

    chunks = [hashes[start : start + CHUNK] for start in range(0, len(hashes), CHUNK)]
    with ThreadPoolExecutor(images.cores(), thread_name_prefix="validate") as pool:
        try:
            for chunk, found in zip(chunks, pool.map(look, chunks), strict=True):
                looks.update(zip(chunk, found, strict=True))
                monitor.report(_progress(len(looks), len(hashes), time.monotonic() - started))
                if monitor.stop_requested():
                    raise Interrupted("Validation was asked to stop; it starts anew when the job does.")
        finally:
            pool.shutdown(cancel_futures=True)
    return looks


def _look(data: bytes, sha256: str, max_pixels: int) -> Traits | Flaw:
    if hashlib.sha256(data).hexdigest() != sha256:
        return Flaw("damaged_on_disk", "The stored file is not what was sent, as after a power cut. Send it again.")
    try:
        return images.traits(data, max_pixels=max_pixels)
    except Truncated as error:
        return Flaw("truncated", str(error))
    except NotAPicture as error:
        return Flaw("not_a_picture", str(error))
    except TooLarge as error:
        return Flaw("too_large", str(error))


def _progress(done: int, total: int, seconds: float) -> Progress:
    return Progress("validating", step=done, steps=total, eta_seconds=seconds / done * (total - done))
