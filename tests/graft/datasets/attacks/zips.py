"""Zips that no honest program writes."""

import stat
import struct
import zipfile
import zlib
from random import Random
from typing import Final

from graft.errors import TooLarge
from tests.graft.datasets.attacks.attack import MIB, PIXEL, Attack
from tests.graft.datasets.packing import directory, entry, packed, patched, with_end, with_end64, with_mode

DEFLATED: Final = packed(("cats/3.jpg", PIXEL * 9), method=zipfile.ZIP_DEFLATED)
STREAM: Final = zlib.compress(PIXEL * 9, wbits=-15)
LINK, CHARACTERS, DISK = stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFBLK | 0o666
PIPE, SOCKET = stat.S_IFIFO | 0o666, stat.S_IFSOCK | 0o666
EXABYTE: Final = struct.pack("<2HQ", 1, 8, 2**60)  # as zip64 says it
HALF_A_MIB: Final = Random(0).randbytes(MIB // 2)

ZIPS: Final = {
    "NUL in a name": Attack(lambda: packed(("cats/aXb", PIXEL)).replace(b"aXb", b"a\0b"), "control characters"),
    "NUL in a folder's name": Attack(
        lambda: packed(("cats/XYZ/", b"")).replace(b"/XYZ/", b"/\0YZ/"), "control characters"),
    "a name of nothing but NUL": Attack(lambda: packed(("XYZ", PIXEL)).replace(b"XYZ", b"\0YZ"), "has no name"),
    "a name that is not UTF-8": Attack(lambda: packed(("\u00e9", b"")).replace(b"\xc3\xa9", b"\xff\xff"), "utf-8"),
    "an endless name": Attack(lambda: packed(("cats/" + "n" * 60_000, PIXEL)), "at most 1024 characters"),
    "a folder that leaves": Attack(lambda: packed(("../../evil/", b"")), "may not hold '..'"),
    "a folder in another case": Attack(lambda: packed(("Cats/", b"")), "upper and lower case"),
    "a folder with content": Attack(lambda: packed(("cats/deep/", PIXEL)), "is a folder and claims 42 bytes"),
    "a link": Attack(lambda: packed((with_mode("cats/l.jpg", LINK), b"/etc/passwd")), "a link or a device"),
    "a file through a link": Attack(
        lambda: packed((with_mode("cats/l", LINK), b"/tmp"), ("cats/l/evil", PIXEL)), "a link or a device"),
    "a character device": Attack(lambda: packed((with_mode("cats/d", CHARACTERS), b"")), "a link or a device"),
    "a block device": Attack(lambda: packed((with_mode("cats/d", DISK), b"")), "a link or a device"),
    "a pipe": Attack(lambda: packed((with_mode("cats/p", PIPE), b"")), "a link or a device"),
    "a socket": Attack(lambda: packed((with_mode("cats/s", SOCKET), b"")), "a link or a device"),
    "encrypted": Attack(lambda: patched(packed(), -1, flags=0x1), "must not be encrypted"),
    "strongly encrypted": Attack(lambda: patched(packed(), -1, flags=0x41), "must not be encrypted"),
    "an encrypted directory": Attack(lambda: patched(packed(), -1, flags=0x2000), "must not be encrypted"),
    "bzip2": Attack(lambda: packed(method=zipfile.ZIP_BZIP2), "stored or deflated"),
    "lzma": Attack(lambda: packed(method=zipfile.ZIP_LZMA), "stored or deflated"),
    "an unknown method": Attack(lambda: patched(packed(), 0, method=77), "stored or deflated"),
    "a future version": Attack(lambda: patched(packed(), 0, version=99), "zip file version 9.9"),
    "members on top of each other": Attack(lambda: patched(packed(), 1, offset=0), "overlaps another file"),
    "a member that reaches into the next": Attack(
        lambda: patched(packed(), 0, packed=4000, size=4000), "overlaps another file"),
    "a member that reaches into the directory": Attack(
        lambda: patched(packed(), -1, packed=9000, size=9000), "overlaps its directory"),
    "a member behind the end": Attack(lambda: patched(packed(), -1, offset=900_000), "overlaps its directory"),
    "a member that starts nowhere": Attack(lambda: patched(packed(), 1, offset=7), "overlaps another file"),
    "a zip before the zip": Attack(lambda: packed() + packed(), "stands before its first file"),
    "another name in the local header": Attack(lambda: packed().replace(b"cats/1", b"cots/1", 1), "differ"),
    "a wrong checksum": Attack(lambda: patched(packed(), 0, crc=1), "Bad CRC-32"),
    "more claimed than held": Attack(lambda: patched(DEFLATED, -1, size=3000), "claims 3,000 bytes and holds 378"),
    "less claimed than held": Attack(lambda: patched(DEFLATED, -1, size=10), "Bad CRC-32"),
    "a damaged stream": Attack(lambda: DEFLATED.replace(STREAM, b"\xff" * len(STREAM), 1), "must unpack"),
    "cut in half": Attack(lambda: packed()[: len(packed()) // 2], "its end is missing"),
    "cut at the end": Attack(lambda: packed()[:-1], "its end is missing"),
    "a damaged directory": Attack(lambda: packed().replace(b"PK\1\2", b"PK\1\1", 1), "its directory is damaged"),
    "a directory that is too long": Attack(lambda: with_end(packed(), length=10**7), "longer than the archive"),
    "a directory that is too short": Attack(lambda: with_end(packed(), length=100), "its directory is damaged"),
    "names longer than the directory": Attack(
        lambda: patched(packed(), -1, name_length=60_000), "its directory is damaged"),
    "no members": Attack(lambda: b"PK\5\6" + bytes(18), "no files"),
    "zip64 without its field": Attack(lambda: patched(packed(), 0, packed=2**32 - 1), "overlaps another file"),
    "an exabyte": Attack(
        lambda: directory(entry(b"c/1", EXABYTE, size=2**32 - 1), 1, claimed=1), "at most 67,108,864", TooLarge),
    "a bomb": Attack(
        lambda: packed(("cats/3.bmp", bytes(9 * MIB)), method=zipfile.ZIP_DEFLATED), "at most 100 times", TooLarge),
    "a bomb of no bytes": Attack(lambda: patched(packed(), 0, size=90, packed=0), "at most 100 times", TooLarge),
    "a huge picture": Attack(lambda: patched(packed(), 0, size=65 * MIB), "at most 67,108,864 bytes", TooLarge),
    "huge annotations": Attack(
        lambda: patched(packed(("all.json", PIXEL)), -1, size=81 * MIB), "at most 83,886,080 bytes", TooLarge),
    "three large pictures": Attack(
        lambda: patched(patched(patched(packed(*((f"c/{i}", HALF_A_MIB) for i in range(3))),
            -1, size=40 * MIB), -2, size=40 * MIB), -3, size=40 * MIB), "may unpack to at most 104,857,600", TooLarge),
    "a million entries": Attack(
        lambda: with_end64(directory(entry(b"c/1"), 10**6, claimed=0), 10**6), "this one has 1,000,000", TooLarge),
    "a million entries, one claimed": Attack(
        lambda: directory(entry(b"c/1"), 10**6, claimed=1), "directory may have at most", TooLarge),
    "half a million entries, one claimed": Attack(
        lambda: directory(entry(b"c/1"), 500_000, claimed=1), "at most 100,000 entries; this one has more", TooLarge),
    "a huge directory": Attack(
        lambda: directory(entry(b"c/1", bytes(60_000)), 500, claimed=500), "directory may have at most", TooLarge),
}  # fmt: skip
