"""What is worth knowing of single pictures that are used: their shape, their name, their copies."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from graft.datasets.checking.problems import Problem
from graft.datasets.checking.traits import Traits
from graft.datasets.manifest import SPLITS, Manifest, Picture

# Pixels. Keras' VGG16 takes no smaller input; one cell of its last layer sees 32 x 32 of them.
MIN_SIDE = 32
# Of the sides. A square of such a picture shows one direction 4 times as fine as the other.
MAX_RATIO = 4
_SUFFIXES: Final = {
    "jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "png": "PNG", "apng": "PNG", "webp": "WebP",
    "gif": "GIF", "bmp": "BMP", "dib": "BMP", "tif": "TIFF", "tiff": "TIFF",
}  # fmt: skip


def find(manifest: Manifest, traits: Mapping[str, Traits]) -> Iterator[Problem]:
    """traits: of every picture, by sha256."""
    for picture in manifest.pictures:
        for code, message in _of_one(picture.path, traits[picture.sha256]):
            yield Problem(picture.path, code, message)
    same: dict[str, list[Picture]] = defaultdict(list)
    for picture in manifest.pictures:
        same[picture.sha256].append(picture)
    for pictures in same.values():
        if len(pictures) > 1:
            yield from _of_copies(pictures, manifest.classes)


def _of_one(path: str, traits: Traits) -> Iterator[tuple[str, str]]:
    size = f"{traits.width:,} x {traits.height:,}"
    short, long = sorted((traits.width, traits.height))
    if short < MIN_SIDE:
        yield (
            "tiny",
            f"A picture should have at least {MIN_SIDE} pixels on each side; this one is {size}. "
            "Use a larger original where there is one.",
        )
    if long > MAX_RATIO * short:
        yield (
            "extreme_shape",
            f"A picture should be at most {MAX_RATIO} times as long as wide, as it is squeezed into a square; "
            f"this one is {size}. Crop it to what matters.",
        )
    if traits.frames:
        yield (
            "animated",
            "A picture should be a single one; this one has several frames or pages. "
            "The first is used: save the one that you mean as a file of its own.",
        )
    named = _SUFFIXES.get(path.rpartition(".")[2].lower(), traits.format)
    if named != traits.format:
        yield (
            "wrong_extension",
            f"A file's name should end as its content is; this one is named as {named} and is {traits.format}. "
            "It is used as what it is: rename it.",
        )


def _of_copies(pictures: Sequence[Picture], classes: Sequence[str]) -> Iterator[Problem]:
    """pictures: all that share one content, in more than one file."""
    by_split = {split: [p for p in pictures if p.split == split] for split in SPLITS}
    first = next(split for split in SPLITS if by_split[split])
    for picture in pictures:
        other = next((p for p in pictures if p.label != picture.label), None)
        if other:
            yield Problem(
                picture.path,
                "label_conflict",
                f"A picture should be in one class; this one, of {classes[picture.label]!r}, is also in "
                f"{classes[other.label]!r}, as {other.path!r} ({other.split}). Remove the wrong one.",
            )
        if picture.split != first:
            yield Problem(
                picture.path,
                "leak",
                f"A picture should be in one split; this one, in {picture.split}, is also in {first}, as "
                f"{by_split[first][0].path!r}. Remove one of the two.",
            )
        twin = next(p for p in by_split[picture.split] if p.label == picture.label)
        if twin is not picture:
            yield Problem(
                picture.path,
                "duplicate",
                f"A picture should be there once; this one is the same as {twin.path!r}, of the same class and split. "
                "Remove one of the two.",
            )
