"""Marked objects: each box is cut out and becomes a picture of its own, or all boxes give their picture one class."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from PIL import Image

from graft import images
from graft.datasets.checking.problems import Problem, flaw
from graft.datasets.layouts.listing import Keep, Listing, SourceFile, Sources
from graft.datasets.layouts.making import Maker
from graft.datasets.layouts.marks import Box, Marked
from graft.errors import NotAPicture, TooLarge
from graft.types import Monitor

PARTS: Final = (1.0, 1.0)
MIN_CROP: Final = 8  # pixels of a crop: less shows nothing at 224 x 224
_AHEAD: Final = 32  # pictures that are cut between two looks at whether to stop
_SIDEWAYS: Final = 5  # EXIF orientations from here on exchange width and height
_TOLERANCE: Final = 0.02  # of a picture's shape: sizes are rounded when pictures are resized


def listing(
    sources: Sources, marked: Mapping[str, Marked], used: frozenset[str], keep: Keep, monitor: Monitor
) -> Listing:
    """marked: by path. used: the files of annotations. Raises TooLarge, Interrupted."""
    if any(picture.boxes for picture in marked.values()):
        return _crops(sources, marked, used, keep, monitor)
    files, notes = [], []
    for path, picture in marked.items():
        if len(picture.labels) == 1:
            files.append(SourceFile(path, picture.split, next(iter(picture.labels)), sources.entries[path].sha256))
        else:
            notes.append(_without_one(path, list(picture.labels)))
    return Listing(files, notes, used)


def _without_one(path: str, labels: Sequence[str]) -> Problem:
    if not labels:
        return Problem(path, "no_label", "A picture needs a label; nothing is marked in this one.", left_out=True)
    message = f"A picture that is used whole must show one category; this one shows {', '.join(sorted(labels)[:5])}."
    return Problem(path, "several_labels", message, left_out=True)


def _crops(
    sources: Sources, marked: Mapping[str, Marked], used: frozenset[str], keep: Keep, monitor: Monitor
) -> Listing:
    """Cut in as many threads as there are cores, one picture in each."""
    notes = [_without_one(path, ()) for path, picture in marked.items() if not picture.boxes]
    with_boxes = {path: picture for path, picture in marked.items() if picture.boxes}
    maker = Maker(keep, monitor, sum(len(picture.boxes) for picture in with_boxes.values()))

    def cut(path: str) -> list[Problem]:
        try:
            image, turn = _opened(sources, path)
        except (NotAPicture, TooLarge) as error:
            found = flaw(error)
            return [Problem(path, found.code, found.message, left_out=True)]
        return list(_cut(image, turn, path, with_boxes[path], maker))

    paths = list(with_boxes)
    with ThreadPoolExecutor(images.cores(), thread_name_prefix="crop") as pool:
        for start in range(0, len(paths), _AHEAD):
            some = paths[start : start + _AHEAD]
            for path, found in zip(some, pool.map(cut, some), strict=True):
                notes += found
                maker.steps.done(len(with_boxes[path].boxes))
    return Listing(maker.files, notes, used | with_boxes.keys())


def _opened(sources: Sources, path: str) -> tuple[Image.Image, int]:
    """The pixels as they are stored, grey or RGB, and their EXIF orientation. Raises NotAPicture, TooLarge."""
    with images.loaded(sources.read(path), sources.max_pixels) as image:
        return image.convert("L" if image.mode == "L" else "RGB"), images.orientation(image)


def _cut(image: Image.Image, turn: int, path: str, picture: Marked, maker: Maker) -> Iterator[Problem]:
    """What could not be cut. Boxes are drawn on the pixels as they are stored, unless the annotated shape says that
    these were turned upright before. Crops come out upright, as every picture does.
    """
    shape = picture.shape or image.size
    if turn >= _SIDEWAYS and _differ(shape, image.size) and not _differ(shape, image.size[::-1]):
        image, turn = images.upright(image, turn), 1
    if _differ(shape, image.size):
        yield Problem(
            path,
            "other_shape",
            f"A picture must have the shape that its boxes were drawn in; this one is {image.width:,} x "
            f"{image.height:,}, and was annotated as {shape[0]:,.0f} x {shape[1]:,.0f}.",
            left_out=True,
        )
        return
    for number, box in enumerate(picture.boxes, 1):
        name, edges = f"{path}/{number}.png", _edges(box, shape, image.size)
        if edges:
            crop = image.crop(edges)
            maker.store(name, picture.split, box.label, images.upright(crop, turn))
        else:
            yield Problem(
                name,
                "small_box",
                f"A box must cover at least {MIN_CROP} x {MIN_CROP} pixels of its picture; this one, of {box.label!r}, "
                "does not.",
                left_out=True,
            )


def _differ(shape: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether the proportions differ: a picture that was only made smaller keeps its boxes."""
    ours, theirs = size[0] * shape[1], shape[0] * size[1]
    return shape != PARTS and abs(ours - theirs) > _TOLERANCE * max(ours, theirs)


def _edges(box: Box, shape: tuple[float, float], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """In pixels, within the picture; None where too little is left."""
    if not all(map(math.isfinite, box.corners)):
        return None
    parts = [corner / side for corner, side in zip(box.corners, 2 * shape, strict=True)]
    within = [round(min(max(part, 0.0), 1.0) * side) for part, side in zip(parts, 2 * size, strict=True)]
    left, top, right, bottom = within
    return (left, top, right, bottom) if min(right - left, bottom - top) >= MIN_CROP else None
