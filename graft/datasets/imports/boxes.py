"""Marked objects: each box is cut out and becomes a picture of its own, or all boxes give their picture one class."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from graft import images
from graft.datasets.imports.making import Maker
from graft.datasets.imports.names import split_of
from graft.datasets.listing import Keep, Listing, Note, SourceFile, Sources, named_as_picture
from graft.datasets.manifest import Split
from graft.datasets.names import shown
from graft.errors import InvalidInput, NotAPicture, TooLarge, Truncated
from graft.types import Monitor

PARTS: Final = (1.0, 1.0)
MIN_SIDE: Final = 8  # pixels of a crop: less shows nothing at 224 x 224
_AHEAD: Final = 32  # pictures that are cut between two looks at whether to stop
_SIDEWAYS: Final = 5  # EXIF orientations from here on exchange width and height
_TOLERANCE: Final = 0.02  # of a picture's shape: sizes are rounded when pictures are resized


@dataclass(frozen=True, slots=True)
class Box:
    """corners: left, top, right, bottom; see Marked."""

    label: str
    corners: tuple[float, float, float, float]


@dataclass
class Marked:
    """What is said of one picture. labels: of all of it, in the order they came.

    shape: width and height in which the corners of the boxes are measured: (1, 1) where they are parts of the
    picture's; None where they are pixels, and nobody says of how many.
    """

    split: Split | None
    shape: tuple[float, float] | None = None
    boxes: list[Box] = field(default_factory=list)
    labels: dict[str, None] = field(default_factory=dict)


class Places:
    """Finds the pictures that annotations name: from the annotations' folder, or anywhere in the upload."""

    def __init__(self, sources: Sources, *, with_suffix: bool) -> None:
        self._by_name: dict[str, list[str]] = {}
        self._with_suffix = with_suffix
        for path in sources.entries:
            if named_as_picture(path):
                self._by_name.setdefault(self._key(path), []).append(path)

    def find(self, name: str, folder: str, split: Split | None) -> str | None:
        """Of several, the one in `folder`, else the only one below a folder of the split's name; None for no such one.

        Raises InvalidInput when it remains open.
        """
        name = name.replace("\\", "/").removeprefix("./")
        found = [path for path in self._by_name.get(self._key(name), ()) if self._ends_in(path, name)]
        if len(found) > 1:
            beside = [path for path in found if self._plain(path) == f"{folder}/{name}".removeprefix("/")]
            found = beside or [p for p in found if split and split_of(p.rpartition("/")[0] or p) == split] or found
        if len(found) > 1:
            raise InvalidInput(
                f"Annotations must say which picture they mean; {shown(name)} is there as {shown(found[0])} and as "
                f"{shown(found[1])}. Put each file of annotations beside its own pictures."
            )
        return found[0] if found else None

    def _plain(self, path: str) -> str:
        return path if self._with_suffix else path.rpartition(".")[0]

    def _key(self, path: str) -> str:
        name = path.rpartition("/")[2]
        return name if self._with_suffix else name.partition(".")[0]

    def _ends_in(self, path: str, name: str) -> bool:
        return f"/{self._plain(path)}".endswith(f"/{name}")


def listing(
    sources: Sources, marked: Mapping[str, Marked], used: frozenset[str], keep: Keep, monitor: Monitor
) -> Listing:
    """marked: by path. used: the files of annotations. Raises InvalidInput, TooLarge, Interrupted."""
    if sources.boxes == "crop" and any(picture.boxes for picture in marked.values()):
        return _crops(sources, marked, used, keep, monitor)
    files, notes = [], []
    for path, picture in marked.items():
        if len(picture.labels) == 1:
            files.append(SourceFile(path, picture.split, next(iter(picture.labels)), sources.entries[path].sha256))
        else:
            notes.append(_without_one(path, list(picture.labels)))
    return Listing(files, notes, used)


def _without_one(path: str, labels: Sequence[str]) -> Note:
    if not labels:
        return Note(path, "no_label", "A picture needs a label; nothing is marked in this one.")
    some = ", ".join(sorted(labels)[:5])
    return Note(path, "several_labels", f"A picture that is used whole must show one category; this one shows {some}.")


def _crops(
    sources: Sources, marked: Mapping[str, Marked], used: frozenset[str], keep: Keep, monitor: Monitor
) -> Listing:
    """Cut in as many threads as there are cores, one picture in each."""
    notes = [_without_one(path, ()) for path, picture in marked.items() if not picture.boxes]
    with_boxes = {path: picture for path, picture in marked.items() if picture.boxes}
    maker = Maker(keep, monitor, sum(len(picture.boxes) for picture in with_boxes.values()))

    def cut(path: str) -> list[Note]:
        try:
            image, turn = _opened(sources, path)
        except Truncated as error:
            return [Note(path, "truncated", str(error))]
        except TooLarge as error:
            return [Note(path, "too_large", str(error))]
        except NotAPicture as error:
            return [Note(path, "not_a_picture", str(error))]
        return list(_cut(image, turn, path, with_boxes[path], maker))

    paths = list(with_boxes)
    with ThreadPoolExecutor(images.cores(), thread_name_prefix="crop") as pool:
        for start in range(0, len(paths), _AHEAD):
            some = paths[start : start + _AHEAD]
            for path, found in zip(some, pool.map(cut, some), strict=True):
                notes += found
                maker.step(len(with_boxes[path].boxes))
    return Listing(maker.files, notes, used | with_boxes.keys())


def _opened(sources: Sources, path: str) -> tuple[Image.Image, int]:
    """The pixels as they are stored, grey or RGB, and their EXIF orientation. Raises NotAPicture, TooLarge."""
    with images.loaded(sources.read(path), sources.max_pixels) as image:
        return image.convert("L" if image.mode == "L" else "RGB"), images.orientation(image)


def _cut(image: Image.Image, turn: int, path: str, picture: Marked, maker: Maker) -> Iterator[Note]:
    """What could not be cut. Boxes are drawn on the pixels as they are stored, unless the annotated shape says that
    these were turned upright before. Crops come out upright, as every picture does.
    """
    shape = picture.shape or image.size
    if turn >= _SIDEWAYS and _differ(shape, image.size) and not _differ(shape, image.size[::-1]):
        image, turn = images.upright(image, turn), 1
    if _differ(shape, image.size):
        yield Note(
            path,
            "other_shape",
            f"A picture must have the shape that its boxes were drawn in; this one is {image.width:,} x "
            f"{image.height:,}, and was annotated as {shape[0]:,.0f} x {shape[1]:,.0f}.",
        )
        return
    for number, box in enumerate(picture.boxes, 1):
        name, edges = f"{path}/{number}.png", _edges(box, shape, image.size)
        if edges:
            crop = image.crop(edges)
            maker.store(name, picture.split, box.label, images.upright(crop, turn))
        else:
            yield Note(
                name,
                "small_box",
                f"A box must cover at least {MIN_SIDE} x {MIN_SIDE} pixels of its picture; this one, of {box.label!r}, "
                "does not.",
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
    return (left, top, right, bottom) if min(right - left, bottom - top) >= MIN_SIDE else None
