"""What the names in well-known sets say: a file's split, and the names of the classes by number."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from graft.datasets.layouts.delimited import text_lines
from graft.datasets.layouts.folders import SPLIT_FOLDERS
from graft.datasets.layouts.listing import Sources
from graft.datasets.layouts.metadata import clean_label
from graft.datasets.manifest import Split
from graft.datasets.names import shown
from graft.errors import InvalidInput

MAX_NAMES: Final = 1000  # lines of a file of names; labels are single bytes
_WORD: Final = re.compile(rf"(?<![a-z])({'|'.join(SPLIT_FOLDERS)})(?![a-z])", re.IGNORECASE)


def split_of(path: str) -> Split | None:
    """The split that the file's name has as a word, as in instances_val2017.json; else its folder's name."""
    *_, folder, name = ("", *path.split("/"))
    found = _WORD.search(name) or _WORD.search(folder)
    return SPLIT_FOLDERS[found[1].lower()] if found else None


def class_names(sources: Sources, path: str | None) -> dict[int, str]:
    """Number -> name, from a file with one name a line, in order. Empty without a file. Raises InvalidInput."""
    if path is None:
        return {}
    return checked_names(path, enumerate(named_lines(sources, path)))


def named_lines(sources: Sources, path: str) -> Iterator[str]:
    """Those of a file of names that are not empty. Raises InvalidInput for more than MAX_NAMES lines."""
    with sources.open(path) as file:
        for number, line in enumerate(text_lines(file, path)):
            if number == MAX_NAMES:
                raise InvalidInput(
                    f"A file of names may have at most {MAX_NAMES:,} lines; {shown(path)} has more. Remove some."
                )
            if line.strip():
                yield line


def checked_names(path: str, named: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Raises InvalidInput: names must differ, or pictures of two classes would be one."""
    names = {number: clean_label(text, f"{shown(path)}, for {number},") for number, text in named}
    if len(set(names.values())) < len(names):
        raise InvalidInput(f"Each class needs a name of its own; {shown(path)} has one twice. Correct it.")
    return names


def name_of(number: int, names: Mapping[int, str], where: str) -> str:
    """The class's name; its number where there are no names. Raises InvalidInput."""
    if names and number not in names:
        raise InvalidInput(
            f"Every label must be named where names are given; {where} has label {number}, and there are "
            f"{len(names)} names. Add what is missing."
        )
    return names.get(number, str(number))
