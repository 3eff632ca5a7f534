"""Open Images' tables (storage.googleapis.com/openimages/web/download_v7.html): labels of pictures, and boxes in them.

The tables name far more pictures than anybody sends: rows of others are counted and passed over.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from graft.datasets.checking.problems import Problem
from graft.datasets.layouts.boxes import PARTS, listing
from graft.datasets.layouts.delimited import AT_ONCE, MAX_LINE, Budget, cells, columns, rows, text_lines
from graft.datasets.layouts.listing import Keep, Listing, Sources
from graft.datasets.layouts.marks import Annotations, Marks
from graft.datasets.layouts.metadata import MAX_LABEL, clean_label
from graft.datasets.names import shown
from graft.datasets.steps import stoppable
from graft.errors import InvalidInput
from graft.types import Monitor

MAX_DESCRIPTIONS: Final = 100_000  # lines of all files
MAX_FILES: Final = 100  # of tables that are looked at
_LABELS: Final = frozenset({"ImageID", "LabelName", "Confidence"})
_BOXES: Final = frozenset({"ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"})
_DESCRIPTIONS: Final = "class-descriptions"


@dataclass(frozen=True)
class OpenImages:
    """A Layout. labels, boxes: tables of each kind; descriptions: those that say what a LabelName means."""

    sources: Sources
    labels: tuple[str, ...]
    boxes: tuple[str, ...]
    descriptions: tuple[str, ...]
    name: str = "Open Images' tables"

    def check(self) -> None:
        """Only descriptions, if they are short: the rest is read by the job. Raises InvalidInput."""
        if sum(self.sources.entries[path].size for path in self.descriptions) <= AT_ONCE:
            self._names()

    def read(self, keep: Keep, monitor: Monitor) -> Listing:
        said, names = Marks(self.sources, with_suffix=False), self._names()
        notes: list[Problem] = []
        for path in self._tables():
            notes += self._mark(path, names, said, monitor)
        if not said.pictures:
            raise InvalidInput(
                "The pictures must be sent with their tables, each as its ImageID and .jpg; none that the tables name "
                "is there. Put them into the same archive."
            )
        used = frozenset({*self.labels, *self.boxes, *self.descriptions})
        found = listing(self.sources, said.pictures, used, keep, monitor)
        return Listing(found.files, (*notes, *found.notes), found.used)

    def _tables(self) -> tuple[str, ...]:
        """Boxes are cut out where there are any; a whole picture is better described by what people said of it."""
        return self.boxes or self.labels if self.sources.boxes == "crop" else self.labels or self.boxes

    def _names(self) -> dict[str, str]:
        """LabelName -> DisplayName. The first line may name the columns: releases differ. Raises InvalidInput."""
        names = {}
        budget = Budget(MAX_DESCRIPTIONS, "Descriptions", "Remove those of labels that no table has.")
        for path in self.descriptions:
            with self.sources.open(path) as file:
                for line, row in cells(budget.take(text_lines(file, path)), path):
                    if len(row) < 2 or len(row[0]) > MAX_LABEL:
                        raise InvalidInput(
                            f"Each row must have a LabelName, of at most {MAX_LABEL} characters, and a name for it; "
                            f"{shown(path)}, line {line}, does not. Correct it."
                        )
                    if row[0] != "LabelName":
                        names[row[0]] = clean_label(row[1], f"{shown(path)}, line {line},")
        return names

    def _mark(self, path: str, names: dict[str, str], said: Marks, monitor: Monitor) -> Iterator[Problem]:
        """Add what one table says; yield what cannot be used. Raises InvalidInput, Interrupted."""
        annotations = Annotations(path, said)
        with self.sources.open(path) as file:
            for line, row in rows(stoppable(text_lines(file, path), monitor), path):
                where = f"{shown(path)}, line {line},"
                place = annotations.find(row["ImageID"])
                if place and ("Confidence" not in row or _number(row, "Confidence", where) == 1):
                    label = names.get(row["LabelName"]) or clean_label(row["LabelName"], where)
                    boxed = path in self.boxes and row.get("IsGroupOf") != "1"
                    said.add(annotations.picture(place, PARTS), label, _corners(row, where) if boxed else None)
        yield from annotations.not_sent()


def recognise(sources: Sources) -> OpenImages | None:
    tables = sorted(path for path in sources.entries if path.lower().endswith(".csv"))
    if len(tables) > MAX_FILES:
        return None
    descriptions = tuple(path for path in tables if _DESCRIPTIONS in path.rpartition("/")[2].lower())
    found = {path: set(columns(sources.head(path, MAX_LINE))) for path in tables if path not in descriptions}
    boxes = tuple(path for path, named in found.items() if named >= _BOXES)
    labels = tuple(path for path, named in found.items() if named >= _LABELS and path not in boxes)
    return OpenImages(sources, labels, boxes, descriptions) if labels or boxes else None


def _corners(row: dict[str, str], where: str) -> tuple[float, float, float, float]:
    left, top, right, bottom = (_number(row, column, where) for column in ("XMin", "YMin", "XMax", "YMax"))
    return left, top, right, bottom


def _number(row: dict[str, str], column: str, where: str) -> float:
    try:
        return float(row[column])
    except ValueError:
        raise InvalidInput(f"{column} must be a number; {where} has {shown(row[column])}. Correct it.") from None
