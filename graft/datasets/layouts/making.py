"""Pictures that are made here, out of files that hold many."""

import io
import threading
from typing import Final

from PIL import Image

from graft.datasets.layouts.listing import Keep, SourceFile
from graft.datasets.manifest import Split
from graft.datasets.names import shown
from graft.datasets.steps import Steps
from graft.errors import TooLarge
from graft.types import Monitor

MAX_MADE: Final = 250_000  # pictures; each is a file of its own
MAX_PIXELS: Final = 20_000_000_000  # of all of them


def check_number(pictures: int) -> None:
    """Whether so many can be made. Raises TooLarge."""
    if pictures > MAX_MADE:
        raise TooLarge(
            f"At most {MAX_MADE:,} pictures can be made out of others or of data files; these would be more. "
            "Send a part of them."
        )


class Maker:
    """Stores pictures, from any thread. total: how many are to be made; steps: counts them. Raises TooLarge."""

    def __init__(self, keep: Keep, monitor: Monitor, total: int) -> None:
        check_number(total)
        self.files: list[SourceFile] = []
        self.steps = Steps(monitor, total)
        self._keep = keep
        self._pixels = 0
        self._lock = threading.Lock()

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
