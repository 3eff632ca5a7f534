"""What folders say: which class, and which split."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graft.datasets.layouts.listing import Keep, Listing, SourceFile, Sources
from graft.datasets.manifest import Split
from graft.datasets.names import shown
from graft.errors import InvalidInput
from graft.types import Monitor

SPLIT_FOLDERS: Final[Mapping[str, Split]] = {
    "train": "train",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}
ADVICE = (
    "Pack a folder with one folder for each class, such as cats/1.jpg and dogs/1.jpg, or name each picture's class in "
    "a metadata.csv with the columns file_name and label."
)


@dataclass(frozen=True)
class Place:
    """Where the layout puts a file; split is None where the folders name none."""

    split: Split | None
    label: str


@dataclass(frozen=True)
class Folders:
    """A Layout: the pictures lie in class folders. Other files in these are bad pictures; files elsewhere are none."""

    sources: Sources
    name: str = "class folders"

    def check(self) -> None:
        self._places()

    def read(self, keep: Keep, monitor: Monitor) -> Listing:  # noqa: ARG002  nothing is made
        entries = self.sources.entries
        return Listing([SourceFile(path, p.split, p.label, entries[path].sha256) for path, p in self._places().items()])

    def _places(self) -> dict[str, Place]:
        batches = [[entry.path for entry in batch.entries] for batch in self.sources.batches]
        places = arrange([path for path in paths if self.sources.is_picture(path)] for paths in batches)
        place_of = {path.rpartition("/")[0]: place for path, place in places.items()}
        every = {path: place_of.get(path.rpartition("/")[0]) for paths in batches for path in paths}
        return {path: place for path, place in every.items() if place}


def recognise(sources: Sources) -> Folders:
    return Folders(sources)


def arrange(batches: Iterable[Sequence[str]]) -> dict[str, Place]:
    """The split and class of each path: `class/file` or `split/class/file`, below any number of single folders.

    Each batch of paths is stripped of its single folders alone. Raises InvalidInput when the folders are neither, or
    hold fewer than two classes.
    """
    folders: _Folders = {}
    for paths in batches:
        folders |= _strip_top({path: tuple(path.split("/")) for path in paths})
    if not folders:
        raise InvalidInput(f"A dataset needs pictures in class folders; none was received. {ADVICE}")
    _check_depth(folders, deepest=3 if _has_splits(folders) else 2)
    if _has_splits(folders):
        places = {path: Place(SPLIT_FOLDERS[parts[0].lower()], parts[1]) for path, parts in folders.items()}
        _check_training_folder({parts[0] for parts in folders.values()})
    else:
        places = {path: Place(None, parts[0]) for path, parts in folders.items()}
    _check_classes({place.label for place in places.values()})
    return places


_Folders = dict[str, tuple[str, ...]]


def _strip_top(folders: _Folders) -> _Folders:
    """Drop folders at the top that hold everything, as long as class folders are left below."""
    while len({parts[0] for parts in folders.values()}) == 1 and all(
        len(parts) > 2 and parts[0].lower() not in SPLIT_FOLDERS for parts in folders.values()
    ):
        folders = {path: parts[1:] for path, parts in folders.items()}
    return folders


def _has_splits(folders: _Folders) -> bool:
    """Whether the top folders are splits. A class may be called `test`: it then lies beside other classes."""
    tops = {parts[0] for parts in folders.values() if len(parts) > 1}
    splits = {top for top in tops if top.lower() in SPLIT_FOLDERS}
    with_classes = {parts[0] for parts in folders.values() if len(parts) > 2}
    if splits == tops:
        return True
    if splits & with_classes:
        raise InvalidInput(
            f"Split folders and other folders must not lie side by side; received {_named(tops - splits)} beside "
            f"{_named(splits)}. Move each class folder into a split folder, or drop the split folders."
        )
    return False


def _check_depth(folders: _Folders, *, deepest: int) -> None:
    for path, parts in folders.items():
        if len(parts) < deepest:
            raise InvalidInput(
                f"Every picture must lie in a class folder; {shown(path)} does not. Send it under its path, such as "
                f"cats/1.jpg, or leave it out. {ADVICE}"
            )
        if len(parts) > deepest:
            raise InvalidInput(
                f"Every picture must lie directly in its class folder; {shown(path)} lies deeper. "
                f"Move it up, or remove it. {ADVICE}"
            )


def _check_training_folder(tops: set[str]) -> None:
    if all(SPLIT_FOLDERS[top.lower()] != "train" for top in tops):
        raise InvalidInput(
            f"A dataset with split folders needs one called train; received {_named(tops)}. "
            "Add it, or leave the split folders out and ask for validation_split."
        )


def _check_classes(labels: set[str]) -> None:
    if len(labels) < 2:
        raise InvalidInput(
            f"A dataset needs at least two class folders; received one, {_named(labels)}. "
            "Add a folder of pictures for every other class and send it again."
        )


def _named(names: set[str]) -> str:
    each = [shown(name) for name in sorted(names)]
    return ", ".join(each[:5]) + (f" and {len(each) - 5} more" if len(each) > 5 else "")
