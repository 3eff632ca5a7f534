"""What files of annotations say of the pictures that were sent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from graft.datasets.checking.problems import Problem
from graft.datasets.layouts.conventions import split_of
from graft.datasets.layouts.listing import Sources, named_as_picture
from graft.datasets.layouts.making import check_number
from graft.datasets.manifest import Split
from graft.datasets.names import shown
from graft.errors import InvalidInput

MAX_LABELS: Final = 6  # that are kept of a picture: messages tell five


@dataclass(frozen=True, slots=True)
class Box:
    """corners: left, top, right, bottom; see Marked."""

    label: str
    corners: tuple[float, float, float, float]


@dataclass
class Marked:
    """What is said of one picture. labels: the first of all of it, in the order they came.

    shape: width and height in which the corners of the boxes are measured: (1, 1) where they are parts of the
    picture's; None where they are pixels, and nobody says of how many.
    """

    split: Split | None
    shape: tuple[float, float] | None = None
    boxes: list[Box] = field(default_factory=list)
    labels: dict[str, None] = field(default_factory=dict)


class Marks:
    """pictures: by path. with_suffix: whether annotations name a picture with the suffix of its file."""

    def __init__(self, sources: Sources, *, with_suffix: bool) -> None:
        self.pictures: dict[str, Marked] = {}
        self.places = Places(sources, with_suffix=with_suffix)
        self._cropped = sources.boxes == "crop"
        self._boxes = 0

    def add(self, picture: Marked, label: str, corners: tuple[float, float, float, float] | None = None) -> None:
        """Boxes are kept only where they will be cut out. Raises TooLarge."""
        if len(picture.labels) < MAX_LABELS:
            picture.labels[label] = None
        if corners and self._cropped:
            self._boxes += 1
            check_number(self._boxes)
            picture.boxes.append(Box(label, corners))


class Annotations:
    """One file of them, for the split that its name says, or for none. named, missing: how often it names a picture,
    and one that was not sent."""

    def __init__(self, path: str, marks: Marks) -> None:
        self.named = self.missing = 0
        self._path = path
        self._folder = path.rpartition("/")[0]
        self._split = split_of(path)
        self._marks = marks
        self._example = ""

    def find(self, name: str) -> str | None:
        """The picture's path; None when it was not sent. Raises InvalidInput when it may be one of several."""
        place = self._marks.places.find(name, self._folder, self._split)
        self.named += 1
        if place is None:
            self.missing += 1
            self._example = self._example or name
        return place

    def picture(self, place: str, shape: tuple[float, float] | None) -> Marked:
        """What is said of the picture that was found there. Raises InvalidInput."""
        picture = self._marks.pictures.setdefault(place, Marked(self._split, shape))
        if picture.split != self._split:
            raise InvalidInput(
                f"A picture belongs to one split; {shown(self._path)} names {shown(place)} for "
                f"{self._split or 'none'}, and a file before it for {picture.split or 'none'}. Remove it from one of "
                "the two."
            )
        return picture

    def not_sent(self) -> Iterator[Problem]:
        """One for all pictures that are missing."""
        if self.missing:
            message = (
                f"Annotations are for pictures that were sent; {self.missing:,} of the {self.named:,} entries of "
                f"{shown(self._path)} are for others, {shown(self._example)} among them."
            )
            yield Problem(None, "missing_pictures", message, left_out=True)


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
