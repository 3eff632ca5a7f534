"""COCO's annotations (cocodataset.org/#format-data), and what others export in that form.

Only what is needed is taken out of the JSON, typed: 440 MB in the form of COCO's training
annotations take half a second and 0.3 GB, where `json.load` takes twelve seconds and 2.9 GB.
"""

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from graft.datasets.checking.problems import Problem
from graft.datasets.layouts import marks
from graft.datasets.layouts.boxes import listing
from graft.datasets.layouts.listing import Keep, Listing, Sources
from graft.datasets.layouts.marks import Marked, Marks
from graft.datasets.layouts.metadata import clean_label
from graft.datasets.names import shown
from graft.datasets.steps import stoppable
from graft.errors import InvalidInput, TooLarge
from graft.types import Monitor

Value = TypeVar("Value")
MAX_FILES: Final = 100  # of JSON: sets with one for every picture are no COCO
MAX_BYTES: Final = 512 * 1024**2  # what is taken out of it can take four times as much memory
_HEAD: Final = 1 << 16
_SIGNS: Final = tuple(
    re.compile(rb'"' + key + rb'"\s*:\s*\[\s*\{[^{}]*"' + field + rb'"\s*:')
    for key, field in ((b"images", b"file_name"), (b"annotations", b"image_id"), (b"categories", b"name"))
)
_OBJECTS: Final = "instances_"  # beside them COCO hands out captions and key points of the same pictures
_BOM: Final = b"\xef\xbb\xbf"

Id = int | str


class Image(msgspec.Struct, gc=False):
    id: Id
    file_name: str
    width: float | None = None
    height: float | None = None


class Annotation(msgspec.Struct, gc=False):
    """bbox: left, top, width, height in pixels. iscrowd: 1 for a box round many objects."""

    image_id: Id
    category_id: Id | None = None
    bbox: tuple[float, float, float, float] | None = None
    iscrowd: int | bool | None = 0


class Category(msgspec.Struct, gc=False):
    id: Id
    name: str


class Annotations(msgspec.Struct):
    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category] = []


@dataclass(frozen=True)
class Coco:
    """A Layout. paths: of the annotations; others: of JSON in the same form that is not used."""

    sources: Sources
    paths: tuple[str, ...]
    others: frozenset[str]
    name: str = "COCO annotations"

    def check(self) -> None:
        """Only sizes: the JSON is read by the job. Raises TooLarge."""
        for path in self.paths:
            if self.sources.entries[path].size > MAX_BYTES:
                raise TooLarge(
                    f"A file of annotations may have at most {MAX_BYTES:,} bytes; {shown(path)} has "
                    f"{self.sources.entries[path].size:,}. Leave out the segmentations, or send a part of it."
                )

    def read(self, keep: Keep, monitor: Monitor) -> Listing:
        said = Marks(self.sources, with_suffix=True)
        notes: list[Problem] = []
        for path in self.paths:
            notes += _mark(path, _decoded(self.sources, path), said, monitor)
        found = listing(self.sources, said.pictures, self.others | {*self.paths}, keep, monitor)
        return Listing(found.files, (*notes, *found.notes), found.used)


def recognise(sources: Sources) -> Coco | None:
    candidates = sorted(path for path in sources.entries if path.lower().endswith(".json"))
    if len(candidates) > MAX_FILES:
        return None
    found = [path for path in candidates if any(sign.search(sources.head(path, _HEAD)) for sign in _SIGNS)]
    objects = [path for path in found if path.rpartition("/")[2].startswith(_OBJECTS)] or found
    return Coco(sources, tuple(objects), frozenset(found) - {*objects}) if found else None


def _decoded(sources: Sources, path: str) -> Annotations:
    with (
        sources.open(path) as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        memoryview(data) as whole,
        whole[len(_BOM) if data[: len(_BOM)] == _BOM else 0 :] as text,
    ):
        try:
            return msgspec.json.decode(text, type=Annotations)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(
                f"Annotations must be JSON as COCO has it, with images, annotations and categories; {shown(path)} "
                f"is not: {error}. Export it again."
            ) from error


def _mark(path: str, coco: Annotations, said: Marks, monitor: Monitor) -> Iterator[Problem]:
    """Add what one file says; yield what cannot be used. Raises InvalidInput, Interrupted."""
    names = {c.id: clean_label(c.name, f"{shown(path)}, category {c.id}") for c in coco.categories}
    file = marks.Annotations(path, said)
    images: dict[Id, Marked | None] = {}
    for image in stoppable(coco.images, monitor):
        place = file.find(image.file_name)
        shape = (image.width, image.height) if image.width and image.height else None
        images[image.id] = None if place is None else file.picture(place, shape)
    if file.missing == file.named:
        raise InvalidInput(
            f"The pictures must be sent with their annotations; of the {file.named:,} that {shown(path)} names none "
            "is there. Put them into the same archive."
        )
    yield from file.not_sent()
    for number, annotation in enumerate(stoppable(coco.annotations, monitor)):
        picture = _known(images, annotation.image_id, f"{shown(path)}, annotation {number}: image_id")
        if annotation.category_id is None:
            raise InvalidInput(
                f"Each annotation needs a category_id; {shown(path)}, annotation {number}, has none, as captions have. "
                "Send the annotations of objects, such as instances_train2017.json."
            )
        label = _known(names, annotation.category_id, f"{shown(path)}, annotation {number}: category_id")
        if picture:
            said.add(picture, label, _corners(annotation))


def _corners(annotation: Annotation) -> tuple[float, float, float, float] | None:
    if annotation.bbox is None or annotation.iscrowd:
        return None
    left, top, width, height = annotation.bbox
    return left, top, left + width, top + height


def _known(table: dict[Id, Value], id: Id, where: str) -> Value:
    if id not in table:
        raise InvalidInput(f"Annotations may only refer to what their file defines; {where} {id!r} is not there.")
    return table[id]
