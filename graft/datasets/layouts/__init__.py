"""From the files that were added to the pictures that they make, each with its class and its split.

Which layout it is, the files say themselves: the first one below that recognises them reads them.

folders, metadata; idx: MNIST, Fashion-MNIST, EMNIST; cifar: CIFAR-10 and CIFAR-100; coco; open_images.
listing: what they have in common; delimited: tables; marks: what annotations say of which picture; boxes: crops of
marked objects; making: pictures that are made here; conventions: what names say; wnid: ImageNet's names of folders.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from graft.datasets.checking.problems import Problem
from graft.datasets.layouts import cifar, coco, folders, idx, metadata, open_images, wnid
from graft.datasets.layouts.listing import Keep, Layout, Listing, Sources, check_usable, named_as_picture
from graft.errors import InvalidInput
from graft.types import Monitor

_RECOGNISERS = (idx.recognise, cifar.recognise, coco.recognise, open_images.recognise, metadata.recognise)


def check(sources: Sources) -> None:
    """Whether the files make a dataset, as far as that is told in a moment. Raises InvalidInput."""
    layout = _recognise(sources)
    with _named(layout):
        layout.check()


def read(sources: Sources, keep: Keep, monitor: Monitor) -> Listing:
    """The pictures, sorted by path, and what is left out. Raises InvalidInput, Interrupted."""
    layout = _recognise(sources)
    with _named(layout):
        listing = layout.read(keep, monitor)
        files = wnid.in_words(sorted(listing.files, key=lambda file: file.path))
        check_usable(files)
    return replace(listing, files=files, notes=(*listing.notes, *_unused(sources, listing)))


def _recognise(sources: Sources) -> Layout:
    if not sources.entries:
        raise InvalidInput(f"A dataset needs pictures in class folders; this one has no files. {folders.ADVICE}")
    found = (recognise(sources) for recognise in _RECOGNISERS)
    return next((layout for layout in found if layout), None) or folders.recognise(sources)


@contextmanager
def _named(layout: Layout) -> Iterator[None]:
    """Let an error say what the files were taken for."""
    try:
        yield
    except InvalidInput as error:
        raise type(error)(f"{error} (The files were read as {layout.name}.)") from error


def _unused(sources: Sources, listing: Listing) -> Iterator[Problem]:
    """One for each file that nothing was made of."""
    known = {file.path for file in listing.files} | {note.path for note in listing.notes} | listing.used
    for path in sorted(sources.entries.keys() - known):
        if named_as_picture(path):
            message = "A picture needs a label; nothing names this one. Add it to the labels."
            yield Problem(path, "unlisted", message, left_out=True)
        else:
            message = "Only pictures and their labels are used; this file is neither."
            yield Problem(path, "stray_file", message, left_out=True)
