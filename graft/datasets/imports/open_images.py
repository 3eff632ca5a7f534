"""Open Images' tables (storage.googleapis.com/openimages/web/download_v7.html): labels of pictures, and boxes in them.

The tables name far more pictures than anybody sends: rows of others are counted and passed over.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from graft.datasets.delimited import AT_ONCE, MAX_LINE, Budget, cells, columns, rows, text_lines
from graft.datasets.imports.boxes import PARTS, Box, Marked, Places, listing
from graft.datasets.imports.names import split_of
from graft.datasets.listing import Keep, Listing, Note, Sources
from graft.datasets.metadata import MAX_LABEL, clean_label
from graft.datasets.names import shown
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
        places, names = Places(self.sources, with_suffix=False), self._names()
        marked: dict[str, Marked] = {}
        notes: list[Note] = []
        for path in self._tables():
            notes += self._mark(path, places, names, marked)
        if not marked:
            raise InvalidInput(
                "The pictures must be sent with their tables, each as its ImageID and .jpg; none that the tables name "
                "is there. Put them into the same archive."
            )
        found = listing(self.sources, marked, frozenset({*self.labels, *self.boxes, *self.descriptions}), keep, monitor)
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

    def _mark(self, path: str, places: Places, names: dict[str, str], marked: dict[str, Marked]) -> Iterator[Note]:
        """Add what one table says to `marked`, by path. Raises InvalidInput."""
        split, folder = split_of(path), path.rpartition("/")[0]
        passed = 0
        with self.sources.open(path) as file:
            for line, row in rows(text_lines(file, path), path):
                where = f"{shown(path)}, line {line},"
                place = places.find(row["ImageID"], folder, split)
                if place is None:
                    passed += 1
                elif "Confidence" not in row or _number(row, "Confidence", where) == 1:
                    picture = marked.setdefault(place, Marked(split, PARTS))
                    if picture.split != split:
                        raise InvalidInput(
                            f"A picture belongs to one split; {where} names {shown(place)} for {split}, and a table "
                            f"before it for {picture.split}. Remove it from one of the two."
                        )
                    label = names.get(row["LabelName"]) or clean_label(row["LabelName"], where)
                    picture.labels[label] = None
                    if path in self.boxes and row.get("IsGroupOf") != "1":
                        left, right, top, bottom = (_number(row, c, where) for c in ("XMin", "XMax", "YMin", "YMax"))
                        picture.boxes.append(Box(label, (left, top, right, bottom)))
        if passed:
            message = f"Tables are for pictures that were sent; {passed:,} rows of {shown(path)} are for others."
            yield Note(None, "missing_pictures", message)


def recognise(sources: Sources) -> OpenImages | None:
    tables = sorted(path for path in sources.entries if path.lower().endswith(".csv"))
    if len(tables) > MAX_FILES:
        return None
    descriptions = tuple(path for path in tables if _DESCRIPTIONS in path.rpartition("/")[2].lower())
    found = {path: set(columns(sources.head(path, MAX_LINE))) for path in tables if path not in descriptions}
    boxes = tuple(path for path, named in found.items() if named >= _BOXES)
    labels = tuple(path for path, named in found.items() if named >= _LABELS and path not in boxes)
    return OpenImages(sources, labels, boxes, descriptions) if labels or boxes else None


def _number(row: dict[str, str], column: str, where: str) -> float:
    try:
        return float(row[column])
    except ValueError:
        raise InvalidInput(f"{column} must be a number; {where} has {shown(row[column])}. Correct it.") from None
