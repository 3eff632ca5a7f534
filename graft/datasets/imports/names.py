"""What the names in well-known sets say: a file's split, and the names of the classes by number."""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from graft.datasets.delimited import text_lines
from graft.datasets.folders import SPLIT_FOLDERS
from graft.datasets.listing import Sources
from graft.datasets.manifest import Split
from graft.datasets.metadata import clean_label
from graft.datasets.names import shown
from graft.errors import InvalidInput

MAX_NAMES: Final = 10_000
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
    with sources.open(path) as file:
        lines = [line for line in islice(text_lines(file, path), MAX_NAMES + 1) if line.strip()]
    return checked_names(path, dict(enumerate(lines)))


def checked_names(path: str, named: Mapping[int, str]) -> dict[int, str]:
    """Raises InvalidInput: names must differ, or pictures of two classes would be one."""
    if len(named) > MAX_NAMES:
        raise InvalidInput(f"At most {MAX_NAMES:,} classes can be named; {shown(path)} names more. Remove some lines.")
    names = {number: clean_label(text, f"{shown(path)}, for {number},") for number, text in named.items()}
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


def beside(paths: Iterable[str], path: str, name: str) -> str | None:
    """The file with this name, in small letters, in the folder of `path`."""
    folder = path.rpartition("/")[0]
    return next((p for p in paths if p.rpartition("/")[0] == folder and p.rpartition("/")[2].lower() == name), None)
