"""Look at every file of a dataset: each content is read, hashed and decoded once."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from graft import images
from graft.datasets.checking.problems import Flaw, flaw
from graft.datasets.checking.traits import Traits, traits
from graft.datasets.steps import Steps
from graft.errors import NotAPicture, TooLarge
from graft.types import Monitor

CHUNK = 8  # files that a thread takes at once


def inspect(
    hashes: Sequence[str], read: Callable[[str], bytes], *, max_pixels: int, monitor: Monitor
) -> dict[str, Traits | Flaw]:
    """sha256 -> what the picture is like, or why it is none. Raises Interrupted when told to stop.

    Decodes in as many threads as there are cores (Pillow frees the interpreter while it works), one picture in each.
    """
    looks: dict[str, Traits | Flaw] = {}
    steps = Steps(monitor, len(hashes))

    def look(chunk: Sequence[str]) -> list[Traits | Flaw]:
        return [_look(read(sha256), sha256, max_pixels) for sha256 in chunk]

    chunks = [hashes[start : start + CHUNK] for start in range(0, len(hashes), CHUNK)]
    with ThreadPoolExecutor(images.cores(), thread_name_prefix="validate") as pool:
        try:
            for chunk, found in zip(chunks, pool.map(look, chunks), strict=True):
                looks.update(zip(chunk, found, strict=True))
                steps.done(len(chunk))
        finally:
            pool.shutdown(cancel_futures=True)
    return looks


def _look(data: bytes, sha256: str, max_pixels: int) -> Traits | Flaw:
    if hashlib.sha256(data).hexdigest() != sha256:
        return Flaw("damaged_on_disk", "The stored file is not what was sent, as after a power cut. Send it again.")
    try:
        return traits(data, max_pixels=max_pixels)
    except (NotAPicture, TooLarge) as error:
        return flaw(error)
