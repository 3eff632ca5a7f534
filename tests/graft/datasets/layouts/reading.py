"""What a layout makes of files in memory, without a database."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from graft.datasets import layouts
from graft.datasets.batches import Batch, Entry
from graft.datasets.layouts.listing import Boxes, Listing, Sources
from graft.types import Monitor
from tests.monitors import Recorder

# A PNG of one pixel: for names that need some picture.
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6360000000020001"
    "48afa4710000000049454e44ae426082"
)


@dataclass
class Made:
    """Pictures that a layout makes, by sha256."""

    by_hash: dict[str, bytes] = field(default_factory=dict)

    def keep(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.by_hash[sha256] = data
        return sha256

    def image(self, sha256: str) -> Image.Image:
        return Image.open(io.BytesIO(self.by_hash[sha256]))


def sources(folder: Path, *batches: Mapping[str, bytes], boxes: Boxes = "crop", max_pixels: int = 10**6) -> Sources:
    """The files of each batch as they lie once they are taken in."""
    made = []
    for number, files in enumerate(batches):
        entries = []
        for path, data in files.items():
            sha256 = hashlib.sha256(data).hexdigest()
            if not (folder / sha256).exists():
                (folder / sha256).write_bytes(data)
            entries.append(Entry(path, sha256, len(data)))
        made.append(Batch(f"batch_{number}", tuple(entries), 0))
    return Sources(made, lambda sha256: folder / sha256, boxes, max_pixels)


def read(given: Sources, made: Made | None = None, monitor: Monitor | None = None) -> Listing:
    """Checked, as before the answer, and read, as in the job."""
    layouts.check(given)
    return layouts.read(given, (made or Made()).keep, monitor or Recorder())


def classes(listing: Listing) -> dict[str, tuple[str | None, str]]:
    """path -> (split, class)."""
    return {file.path: (file.split, file.label) for file in listing.files}


def left_out(listing: Listing) -> list[tuple[str | None, str]]:
    return [(note.path, note.code) for note in listing.notes]
