"""CSV and its like, row by row: no line that is read here takes more than a moment or more than a little memory."""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from graft.datasets.names import shown
from graft.errors import InvalidInput

MAX_LINE = 1 << 16  # bytes


def cells(file: BinaryIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """(line, its cells) of every row that is not empty. Lines count from 1; a row of several is named by its last.

    The text is UTF-8, with or without a byte order mark; cells are parted by commas, or else by what the first line
    has: semicolons or tabs. Raises InvalidInput.
    """
    lines = text_lines(file, name)
    first = next(lines, "")
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(_chained(first, lines), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise InvalidInput(
            f"A table must be written as RFC 4180 has it; {shown(name)}, line {reader.line_num}: {error}. "
            "Write it with a spreadsheet or a CSV library."
        ) from error


def rows(file: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """As `cells`, each row by the columns that the first one names. Raises InvalidInput."""
    table = cells(file, name)
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
    """Line by line, with its end. Raises InvalidInput when it is no UTF-8 text, or has lines without end."""
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
        first = head.split(b"\n", 1)[0].decode("utf-8-sig")
        delimiter = next((mark for mark in ",;\t" if mark in first), ",")
        return [column.strip() for column in next(csv.reader([first], delimiter=delimiter), [])]
    except (UnicodeDecodeError, csv.Error):
        return []


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
        yield from rest
