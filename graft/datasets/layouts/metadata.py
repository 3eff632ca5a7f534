"""`metadata.csv` and `metadata.jsonl`: the class, and perhaps the split, of each picture beside or below the file.

As in Hugging Face's imagefolder: `file_name` is relative to the file's folder, and each split's folder may have its
own. Without a column `split`, a folder with a split's name above the picture says it.
"""

import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from graft.datasets.layouts.delimited import AT_ONCE, MAX_LINE, Budget, columns, rows, text_lines
from graft.datasets.layouts.folders import SPLIT_FOLDERS
from graft.datasets.layouts.listing import Keep, Listing, SourceFile, Sources, check_usable
from graft.datasets.manifest import Split
from graft.datasets.names import clean_path, shown
from graft.errors import InvalidInput, TooLarge
from graft.types import Monitor

MAX_LABEL: Final = 255  # characters
MAX_FILES: Final = 100
MAX_LINES: Final = 500_000  # of all files
_NAMES: Final = frozenset({"metadata.csv", "metadata.jsonl"})
_COLUMNS: Final = frozenset({"file_name", "label"})


@dataclass(frozen=True)
class Metadata:
    """A Layout. paths: of the metadata files."""

    sources: Sources
    paths: tuple[str, ...]
    name: str = "pictures with a metadata file"

    def check(self) -> None:
        """Of more than AT_ONCE only the columns: the rows are read by the job. Raises InvalidInput, TooLarge."""
        if len(self.paths) > MAX_FILES:
            raise TooLarge(
                f"A dataset may have at most {MAX_FILES} metadata files; this one has {len(self.paths):,}. Put their "
                "rows into fewer."
            )
        if sum(self.sources.entries[path].size for path in self.paths) <= AT_ONCE:
            check_usable(self._files())
            return
        for path in self.paths:
            named = columns(self.sources.head(path, MAX_LINE)) if path.lower().endswith(".csv") else []
            if named:
                _check_columns(named, path)

    def read(self, keep: Keep, monitor: Monitor) -> Listing:  # noqa: ARG002  nothing is made
        return Listing(self._files(), used=frozenset(self.paths))

    def _files(self) -> list[SourceFile]:
        files: dict[str, SourceFile] = {}
        budget = Budget(MAX_LINES, "Metadata files", "List each picture once.")
        for table in self.paths:
            for line, row in _rows(self.sources, table, budget):
                file = _source_file(self.sources, table, row, f"{shown(table)}, line {line}")
                if files.setdefault(file.path, file) != file:
                    there = files[file.path]
                    raise InvalidInput(
                        f"A picture has one label and one split; {shown(table)}, line {line}, says {file.label!r} and "
                        f"{file.split or 'no split'} of {shown(file.path)}, and a row before it says {there.label!r} "
                        f"and {there.split or 'no split'}. Remove one of the two."
                    )
        return list(files.values())


def recognise(sources: Sources) -> Metadata | None:
    paths = sorted(path for path in sources.entries if _base_and_name(path)[1].lower() in _NAMES)
    return Metadata(sources, tuple(paths)) if paths else None


def clean_label(text: str, where: str) -> str:
    """A class's name without space around it. `where` begins the error. Raises InvalidInput."""
    label = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(label) <= MAX_LABEL or not label.isprintable():
        raise InvalidInput(
            f"A label must have 1 to {MAX_LABEL} printable characters; {where} has {shown(label)}. Give it a name."
        )
    return label


class _Row(msgspec.Struct):
    """A line of JSON. Labels are often numbers."""

    file_name: str
    label: str | int
    split: str | None = None


def _rows(sources: Sources, path: str, budget: Budget) -> Iterator[tuple[int, _Row]]:
    with sources.open(path) as file:
        lines = budget.take(text_lines(file, path))
        if path.lower().endswith(".csv"):
            for line, cells in rows(lines, path):
                _check_columns(cells, path)
                yield line, _Row(cells["file_name"], cells["label"], cells.get("split"))
            return
        decoder = msgspec.json.Decoder(_Row)
        for line, text in enumerate(lines, 1):
            if text.strip():
                try:
                    yield line, decoder.decode(text)
                except (msgspec.MsgspecError, RecursionError) as error:
                    raise InvalidInput(
                        "Each line of metadata.jsonl must be an object such as "
                        f'{{"file_name": "1.jpg", "label": "cat"}}; {shown(path)}, line {line}: {error}. Correct it.'
                    ) from error


def _check_columns(named: Collection[str], path: str) -> None:
    if missing := _COLUMNS.difference(named):
        raise InvalidInput(
            f"{shown(path)} needs the columns file_name and label; {' and '.join(sorted(missing))} is not among "
            f"{', '.join(map(shown, named))}. Name the columns in its first line."
        )


def _source_file(sources: Sources, table: str, row: _Row, where: str) -> SourceFile:
    base, _ = _base_and_name(table)
    try:
        path = clean_path(f"{base}/{row.file_name.strip()}".replace("\\", "/").removeprefix("/"))
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error
    entry = sources.entries.get(path)
    if entry is None:
        raise InvalidInput(
            f"Each file_name must be that of a picture, from the folder of {shown(table)}; {where}, names "
            f"{shown(row.file_name)}, and no such file was sent. Add the picture, or remove the row."
        )
    return SourceFile(path, _split(row.split, path, where), clean_label(str(row.label), where), entry.sha256)


def _split(named: str | None, path: str, where: str) -> Split | None:
    if named is None or not named.strip():
        folders = (SPLIT_FOLDERS.get(part.lower()) for part in path.split("/")[:-1])
        return next(filter(None, folders), None)
    split = SPLIT_FOLDERS.get(named.strip().lower())
    if split is None:
        raise InvalidInput(
            f"A split is one of {', '.join(SPLIT_FOLDERS)}, or empty; {where}, has {shown(named)}. Correct it."
        )
    return split


def _base_and_name(path: str) -> tuple[str, str]:
    base, _, name = path.rpartition("/")
    return base, name
