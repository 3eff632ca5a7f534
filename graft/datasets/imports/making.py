"""Pictures that are made here, out of files that hold many."""

import io
import threading
import time
from typing import Final

from PIL import Image

from graft.datasets.listing import Keep, SourceFile
from graft.datasets.manifest import Split
from graft.datasets.names import shown
from graft.errors import Interrupted, TooLarge
from graft.types import Monitor, Progress

MAX_MADE: Final = 250_000  # pictures; each is a file of its own
MAX_PIXELS: Final = 20_000_000_000  # of all of them


class Maker:
    """Stores pictures, from any thread; says how far it is, and stops when it is asked to.

    total: pictures that are to be made. Raises TooLarge for more than MAX_MADE.
    """

    def __init__(self, keep: Keep, monitor: Monitor, total: int) -> None:
        if total > MAX_MADE:
            raise TooLarge(
                f"At most {MAX_MADE:,} pictures can be made out of others or of data files; these would be {total:,}. "
                "Send a part of them."
            )
        self.files: list[SourceFile] = []
        self._keep = keep
        self._monitor = monitor
        self._total = total
        self._done = 0
        self._pixels = 0
        self._lock = threading.Lock()
        self._started = time.monotonic()

    def store(self, path: str, split: Split | None, label: str, image: Image.Image) -> None:
        """As a PNG. image: grey or RGB. Raises TooLarge, DiskFull."""
        with self._lock:
            self._pixels += image.width * image.height
        if self._pixels > MAX_PIXELS:
            raise TooLarge(
                f"Pictures that are made out of others may have {MAX_PIXELS:,} pixels in all; with {shown(path)} they "
                "have more. Send smaller pictures, or a part of them."
            )
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        self.files.append(SourceFile(path, split, label, self._keep(buffer.getvalue())))

    def step(self, count: int = 1) -> None:
        """So many of the total are done. Raises Interrupted."""
        if self._monitor.stop_requested():
            raise Interrupted("Validation was asked to stop; it starts anew when the job does.")
        self._done += count
        eta = (time.monotonic() - self._started) / self._done * (self._total - self._done)
        self._monitor.report(Progress("validating", step=self._done, steps=self._total, eta_seconds=eta))
