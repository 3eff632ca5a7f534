"""Uploads that must be refused, each with words of the rule that it breaks."""

from collections.abc import Mapping
from typing import Final

from graft.errors import NotAnArchive
from tests.graft.datasets.attacks.attack import LIMITS, Attack
from tests.graft.datasets.attacks.gzips import GZIPS
from tests.graft.datasets.attacks.names import NESTED, names, nested
from tests.graft.datasets.attacks.tars import TARS
from tests.graft.datasets.attacks.zips import ZIPS
from tests.graft.datasets.packing import GOOD, packed

__all__ = ["ATTACKS", "LIMITS", "Attack"]

OTHERS: Final = {
    "nothing": (lambda: b"", "an empty file"),
    "a picture": (lambda: GOOD[0][1], "bytes that begin with '\\xff\\xd8"),
    "text": (lambda: b"hello", "bytes that begin with 'hello'"),
    "a picture with a zip behind": (lambda: b"GIF89a" + packed(), "bytes that begin with 'GIF89aPK"),
    "a program that unpacks itself": (lambda: b"MZ" + packed(), "bytes that begin with 'MZPK"),
    "a part of a split zip": (lambda: b"PK\x07\x08" + packed(), "a part of a split zip file"),
    "a 7z": (NESTED["a 7z file"], "a 7z file"),
    "a rar": (NESTED["a rar file"], "a rar file"),
    "a tar.bz2": (NESTED["a bzip2 file"], "a bzip2 file"),
    "a tar.xz": (NESTED["an xz file"], "an xz file"),
    "a tar.zst": (NESTED["a zstd file"], "a zstd file"),
}  # fmt: skip

ATTACKS: Final[Mapping[str, Attack]] = {
    **dict(names()),
    **dict(nested()),
    **{f"zip: {case}": attack for case, attack in ZIPS.items()},
    **{f"tar: {case}": attack for case, attack in TARS.items()},
    **{f"tar.gz: {case}": attack for case, attack in GZIPS.items()},
    **{case: Attack(send, f"tar.gz file; received {says}", NotAnArchive) for case, (send, says) in OTHERS.items()},
}
