"""Names and contents that no file of an upload may have, in a zip, in a tar and in a form."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from tests.graft.datasets.attacks.attack import PIXEL, TAR, Attack, in_tar
from tests.graft.datasets.packing import packed

# Names, alone: sent in a zip, in a tar and in a form.
NAMES: Final = {
    "leaves the folder": ("../../evil.jpg", "may not hold '..'"),
    "leaves it later": ("cats/../../../evil.jpg", "may not hold '..'"),
    "ends by leaving": ("cats/..", "may not hold '..'"),
    "hidden and leaving": ("../.evil", "may not hold '..'"),
    "absolute": ("/evil.jpg", "must be relative"),
    "absolute and hidden": ("/.evil", "must be relative"),
    "on another machine": ("//server/share/evil.jpg", "must be relative"),
    "on a drive": ("C:/evil.jpg", "must be relative"),
    "below a drive's folder": ("c:evil.jpg", "must be relative"),
    "backslashes": ("..\\..\\evil.jpg", "must use / between folders"),
    "a backslash among slashes": ("cats/..\\..\\evil.jpg", "must use / between folders"),
    "a stream of a file": ("cats/1.jpg:evil.exe", "may not hold a colon"),
    "a stream of a folder": ("cats::$INDEX_ALLOCATION/3.jpg", "may not hold a colon"),
    "a device": ("cats/CON", "Windows' devices"),
    "a device with an ending": ("cats/nul.jpg", "Windows' devices"),
    "a device with two endings": ("cats/Com1.tar.jpg", "Windows' devices"),
    "a device with a raised digit": ("cats/lpt\u00b9.jpg", "Windows' devices"),
    "a device as a folder": ("aux/3.jpg", "Windows' devices"),
    "a dot at the end": ("cats/3.jpg.", "may not end with a dot or a space"),
    "a space at a folder's end": ("cats /3.jpg", "may not end with a dot or a space"),
    "three dots": (".../3.jpg", "may not end with a dot or a space"),
    "a line break": ("cats/3\n.jpg", "may not hold control characters"),
    "an escape sequence": ("cats/\x1b[2J.jpg", "may not hold control characters"),
    "a control character beyond ASCII": ("cats/\x9b2J.jpg", "may not hold control characters"),
    "text turned round": ("cats/\u202egpj.exe", "may not hold invisible characters"),
    "text turned round by another": ("cats/\u2067gpj.exe", "may not hold invisible characters"),
    "a space of no width": ("cats/\u200b3.jpg", "may not hold invisible characters"),
    "letters of tags": ("cats/3\U000e0041.jpg", "may not hold invisible characters"),
    "too long": ("cats/" + "a" * 256, "255 bytes between slashes"),
    "too long in UTF-8": ("cats/" + "\u732b" * 86, "255 bytes between slashes"),
    "too long altogether": ("a/" * 600 + "3.jpg", "at most 1024 characters"),
    "nothing": ("./.", "may not be empty"),
}  # fmt: skip
# Names beside others.
MEETINGS: Final = {
    "the same": (("cats/3.jpg", "cats/3.jpg"), "is there twice"),
    "the same once cleaned": (("cats/3.jpg", "./cats//./3.jpg"), "is there twice"),
    "the same once composed": (("cats/\u00e9.jpg", "cats/e\u0301.jpg"), "is there twice"),
    "another case": (("cats/a.jpg", "cats/A.jpg"), "upper and lower case"),
    "another case of a folder": (("Cats/3.jpg", "cats/3.jpg"), "upper and lower case"),
    "another case in Unicode": (("cats/stra\u00dfe.jpg", "cats/STRASSE.jpg"), "upper and lower case"),
    "an invisible joiner": (("cats/ab.jpg", "cats/a\u200db.jpg"), "upper and lower case"),
    "a file that is a folder": (("cats/3", "cats/3/1.jpg"), "a file's or a folder's"),
    "a folder that is a file": (("cats/3/1.jpg", "cats/3"), "a file's or a folder's"),
}  # fmt: skip


def names() -> Iterator[tuple[str, Attack]]:
    """Every name in a zip, in a tar and in a form."""
    cases: Mapping[str, tuple[tuple[str, ...], str]] = {
        **{case: ((name,), says) for case, (name, says) in NAMES.items()},
        **{f"a name beside {case}": pair for case, pair in MEETINGS.items()},
    }
    for case, (sent, says) in cases.items():
        files = [(name, PIXEL + b"%d" % i) for i, name in enumerate(sent)]
        yield f"zip: {case}", Attack(partial(packed, *files), says)
        yield f"tar: {case}", Attack(partial(in_tar, *files), says)
        yield f"form: {case}", Attack(partial(list, files), says)


NESTED: Final[Mapping[str, Callable[[], bytes]]] = {
    "a zip file": lambda: packed(),
    "a tar file": lambda: TAR,
    "a gzip file": lambda: gzip.compress(TAR),
    "a bzip2 file": lambda: bz2.compress(TAR),
    "an xz file": lambda: lzma.compress(TAR),
    "a 7z file": lambda: b"7z\xbc\xaf\x27\x1c" + bytes(600),
    "a rar file": lambda: b"Rar!\x1a\x07\x01\x00" + bytes(600),
    "a zstd file": lambda: b"\x28\xb5\x2f\xfd" + bytes(600),
}


def nested() -> Iterator[tuple[str, Attack]]:
    """Every kind of archive inside another, under a picture's name."""
    for kind, data in NESTED.items():
        inside = ("cats/3.jpg", data())
        says = f"'cats/3.jpg' is {kind}"
        yield f"zip: {kind} inside", Attack(partial(packed, inside), says)
        yield f"tar: {kind} inside", Attack(partial(in_tar, inside), says)
        yield f"form: {kind}", Attack(partial(list, [inside]), says)
