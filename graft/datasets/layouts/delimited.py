"""CSV and its like, row by row: no line that is read here takes more than a moment or more than a little memory."""

import csv
import io
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final

from graft.datasets.names import shown
from graft.errors import InvalidInput, TooLarge

if TYPE_CHECKING:
    from _csv import Reader

MAX_LINE: Final = 1 << 16  # bytes
# Bytes of labels that are read before a call is answered: those of the shortest rows take half a second.
AT_ONCE: Final = 1 << 19


class Budget:
    """Lines that several files may have together, empty ones included."""

    def __init__(self, lines: int, files: str, advice: str) -> None:
        self._lines = lines
        self._files = files
        self._advice = advice
        self._taken = 0

    def take(self, lines: Iterator[str]) -> Iterator[str]:
        """The same. Raises TooLarge."""
        for line in lines:
            self._taken += 1
            if self._taken > self._lines:
                raise TooLarge(
                    f"{self._files} may have at most {self._lines:,} lines in all; these have more. {self._advice}"
                )
            yield line


def cells(lines: Iterator[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """(line, its cells) of every row that is not empty. Lines count from 1; a row of several is named by its last.

    Cells are parted by commas, or else by what the first line has: semicolons or tabs. Raises InvalidInput.
    """
    reader = _reader(lines)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise InvalidInput(
            f"A table must be written as RFC 4180 has it; {shown(name)}, line {reader.line_num}: {error}. "
            "Write it with a spreadsheet or a CSV library."
        ) from error


def rows(lines: Iterator[str], name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """As `cells`, each row by the columns that the first one names. Raises InvalidInput."""
    table = cells(lines, name)
    _, header = next(table, (1, []))
    columns = [column.strip() for column in header]
    for line, row in table:
        if len(row) != len(columns):
            raise InvalidInput(
                f"Every row must have as many cells as the first, {len(columns)}; {shown(name)}, line {line}, has "
                f"{len(row)}. Put quotes round a cell that holds the delimiter."
            )
        yield line, dict(zip(columns, row, strict=True))


def text_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Line by line, with its end; a byte order mark is left out. Raises InvalidInput when it is no UTF-8 text, or has
    lines without end."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise InvalidInput(
                f"A line may have at most {MAX_LINE:,} bytes; line {number} of {shown(name)} has more. Shorten it."
            )
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InvalidInput(
                f"A file of labels must be UTF-8 text; {shown(name)}, line {number}, is not. Save it as UTF-8."
            ) from None


def columns(head: bytes) -> list[str]:
    """The columns that the beginning of a table names; none where it is no table."""
    try:
        reader = _reader(io.StringIO(head.decode("utf-8-sig", "ignore")))
        return [column.strip() for column in next(filter(None, reader), [])]
    except csv.Error:
        return []


def _reader(lines: Iterator[str]) -> "Reader":
    first = next(lines, "")
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    return csv.reader(chain([first] if first else [], lines), delimiter=delimiter, strict=True)
