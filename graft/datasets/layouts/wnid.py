"""Classes that are called by their WordNet id, as ImageNet's folders are: shown as words."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from graft.datasets.layouts.listing import SourceFile
from graft.imagenet import imagenet_classes

_WNID: Final = re.compile(r"n\d{8}")


def in_words(files: Sequence[SourceFile]) -> list[SourceFile]:
    """With the labels that VGG16 uses, where every class is called by a WordNet id and any of them is known.

    Where two classes share a word, each has its id behind it: `crane (n02012849)`.
    """
    labels = {file.label for file in files}
    words = _words()
    if not all(_WNID.fullmatch(label) for label in labels):
        return list(files)
    return [replace(file, label=words.get(file.label, file.label)) for file in files]


@cache
def _words() -> dict[str, str]:
    used = Counter(label for _, label in imagenet_classes())
    return {wnid: label if used[label] == 1 else f"{label} ({wnid})" for wnid, label in imagenet_classes()}
