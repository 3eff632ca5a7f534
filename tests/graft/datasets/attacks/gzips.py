"""Gzip files round tars that no honest program writes."""

import gzip
import zlib
from functools import cache
from random import Random
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from graft.errors import NotAnArchive, TooLarge
from tests.graft.datasets.attacks.attack import HELD, MIB, PIXEL, TAR, Attack, flipped
from tests.graft.datasets.packing import header, member, packed


@cache
def million_files() -> bytes:
    """A tar.gz of a million empty files, whose headers differ by a number, its checksum, and noise in the owner."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    template = np.frombuffer(header("c/0000000"), np.uint8)
    bare = int(template.sum()) - int(template[148:156].sum()) + 8 * 32
    noise = np.random.default_rng(0)
    pieces = []
    for start in range(0, 10**6, 20_000):
        rows = np.tile(template, (20_000, 1))
        rows[:, 2:9] = decimals(np.arange(start, start + 20_000), 10, 7)
        rows[:, 265:271] = noise.integers(65, 91, (20_000, 6))
        totals = bare - 7 * 48 + rows[:, 2:9].sum(axis=1) + rows[:, 265:271].sum(axis=1)
        rows[:, 148:154] = decimals(totals, 8, 6)
        pieces.append(packer.compress(rows.tobytes()))
    return b"".join((*pieces, packer.compress(bytes(1024)), packer.flush()))


def decimals(numbers: npt.NDArray[Any], base: int, count: int) -> npt.NDArray[Any]:
    """(n,) -> (n, count) ASCII digits."""
    return numbers[:, None] // base ** np.arange(count - 1, -1, -1) % base + 48


GZ: Final = gzip.compress(TAR, mtime=0)
EMPTY_GZ: Final = gzip.compress(b"", mtime=0)
ZEROS: Final = gzip.compress(bytes(MIB), mtime=0)
# Unpacks to some fifty times its size.
THIN: Final = gzip.compress(b"".join(Random(i).randbytes(1000) + bytes(64_536) for i in range(160)), 1, mtime=0)


def gz_of(*extra: bytes) -> bytes:
    """Each in a gzip member of its own."""
    return gzip.compress(TAR[:HELD]) + b"".join(extra)


def tar_of(size: int, name: str = "cats/3.jpg") -> bytes:
    return gzip.compress(header(name, size=b"%o" % size))


GZIPS: Final = {
    "something else": Attack(lambda: gzip.compress(PIXEL), "a gzip file that holds no tar", NotAnArchive),
    "nothing": Attack(lambda: EMPTY_GZ, "a gzip file that holds no tar", NotAnArchive),
    "a zip": Attack(lambda: gzip.compress(packed()), "a gzip file that holds no tar", NotAnArchive),
    "a tar.gz": Attack(lambda: gzip.compress(GZ), "a gzip file that holds no tar", NotAnArchive),
    "IDX": Attack(lambda: gzip.compress(b"\0\0\x08\x03" + bytes(900)), "holds no tar", NotAnArchive),
    "cut in its header": Attack(lambda: GZ[:5], "it ends in the middle"),
    "cut in a file": Attack(lambda: GZ[: len(GZ) // 2], "it ends in the middle"),
    "cut before its checksum": Attack(lambda: GZ[:-8], "it ends in the middle"),
    "cut in its checksum": Attack(lambda: GZ[:-3], "it ends in the middle"),
    "cut before its second member": Attack(lambda: gz_of(), "it ends in the middle"),
    "a wrong checksum": Attack(lambda: flipped(GZ, len(GZ) - 8), "incorrect data check"),
    "a wrong length": Attack(lambda: flipped(GZ, len(GZ) - 1), "incorrect length check"),
    "a damaged stream": Attack(lambda: flipped(GZ, len(GZ) // 2), "is not"),
    "a damaged second header": Attack(lambda: gz_of(flipped(EMPTY_GZ, 2)), "unknown compression method"),
    "a name without end": Attack(lambda: GZ[:3] + b"\x08" + GZ[4:10] + b"n" * (30 * MIB), "without unpacking"),
    "something behind the end": Attack(lambda: GZ + PIXEL, "incorrect header check"),
    "a tar behind the tar": Attack(lambda: GZ + GZ, "something stands behind its end"),
    "no end in the tar": Attack(lambda: gzip.compress(TAR[:HELD]), "it ends in the middle"),
    "a link in the tar": Attack(
        lambda: gz_of(gzip.compress(member("cats/l", kind=b"2", link=b"/") + bytes(1024))), "a link or a device"),
    "a bomb": Attack(lambda: gz_of(tar_of(60 * MIB), *[ZEROS] * 60), "at most 100 times its size", TooLarge),
    "a bomb in a hidden file": Attack(
        lambda: gz_of(tar_of(60 * MIB, ".x"), *[ZEROS] * 60), "at most 100 times its size", TooLarge),
    "a bomb behind the end": Attack(
        lambda: GZ + ZEROS * 1000, "at most 100 times its size", TooLarge),
    "a bomb in an extended header": Attack(
        lambda: gz_of(gzip.compress(header("pax", size=b"%o" % 2**30, kind=b"x")), ZEROS * 1024),
        "at most 1,048,576 bytes"),
    "more than all may have": Attack(
        lambda: gz_of(*(tar_of(10_485_760, f".{i}") + THIN for i in range(10))), "at most 104,857,600 bytes", TooLarge),
    "half a million empty parts": Attack(
        lambda: gz_of(EMPTY_GZ * 500_000, gzip.compress(bytes(1024))), "at most 100,000 parts", TooLarge),
    "a million files": Attack(million_files, "at most 100,000 entries; this one has more", TooLarge),
}  # fmt: skip
