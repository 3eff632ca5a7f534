"""Pictures that the tests draw: three classes that anybody can tell apart, every picture a little different."""

import io
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw

CLASSES = ("discs", "stripes", "triangles")


def draw(label: str, seed: int, size: int = 96) -> Image.Image:
    """One RGB picture, size x size, of a class in CLASSES."""
    rng = random.Random(f"{label}-{seed}")
    background = tuple(rng.randrange(170, 256) for _ in range(3))
    colour = tuple(rng.randrange(0, 90) for _ in range(3))
    picture = Image.new("RGB", (size, size), background)
    pen = ImageDraw.Draw(picture)
    if label == "discs":
        for _ in range(4):
            x, y, r = rng.randrange(size), rng.randrange(size), rng.randrange(size // 10, size // 5)
            pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif label == "stripes":
        width = rng.randrange(4, 9)
        for x in range(rng.randrange(width), size, 2 * width):
            pen.rectangle((x, 0, x + width - 1, size), fill=colour)
    elif label == "triangles":
        for _ in range(4):
            x, y, r = rng.randrange(size), rng.randrange(size), rng.randrange(size // 6, size // 3)
            pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
    else:
        raise ValueError(f"label must be one of {CLASSES}; received {label!r}")
    return picture


def encode(picture: Image.Image, format: str = "JPEG") -> bytes:
    """The picture as the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, format)
    return buffer.getvalue()


def jpeg(label: str, seed: int) -> bytes:
    return encode(draw(label, seed))


def folder(per_class: int, *, split: str = "", start: int = 0) -> dict[str, bytes]:
    """Relative path -> file bytes, `per_class` pictures of every class, under `split/` where one is named."""
    prefix = f"{split}/" if split else ""
    return {
        f"{prefix}{label}/{seed}.jpg": jpeg(label, seed)
        for label in CLASSES
        for seed in range(start, start + per_class)
    }


def zip_of(files: Mapping[str, bytes], path: Path) -> Path:
    """Write the files into a zip at `path`, in their order, and return the path."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files below `root`, and return `root`."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root
