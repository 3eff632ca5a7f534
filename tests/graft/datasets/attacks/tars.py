"""Tars that no honest program writes."""

from typing import Final

from graft.errors import InvalidInput, NotAnArchive, TooLarge
from tests.graft.datasets.attacks.attack import FIRST, HELD, MIB, PIXEL, TAR, Attack, flipped, in_tar
from tests.graft.datasets.packing import BLOCK, header, member, named, pax, tarred

NEGATIVE: Final = b"\xff" * 12  # as base 256 has it
HUGE: Final = b"\x80" + b"\x7f" * 11


def tar_kind(kind: bytes, says: str = "a link or a device") -> Attack:
    return Attack(lambda: tarred(member("cats/3.jpg", kind=kind, link=b"../../etc/passwd")), says)


def tar_end(end: bytes, says: str) -> Attack:
    return Attack(lambda: TAR[:HELD] + end, says)


def tar_size(size: bytes, says: str, error: type[InvalidInput] = InvalidInput, kind: bytes = b"0") -> Attack:
    return Attack(lambda: tarred(header("cats/3.jpg", size=size, kind=kind)), says, error)


def tar_pax(says: str, *records: tuple[str, str], error: type[InvalidInput] = InvalidInput) -> Attack:
    return Attack(lambda: tarred(pax(*records), member("cats/3.jpg", PIXEL)), says, error)


def tar_lines(lines: bytes, says: str) -> Attack:
    return Attack(lambda: tarred(member("pax", lines, kind=b"x"), member("cats/3.jpg", PIXEL)), says)


TARS: Final = {
    "a symbolic link": tar_kind(b"2"),
    "a hard link": tar_kind(b"1"),
    "a character device": tar_kind(b"3"),
    "a block device": tar_kind(b"4"),
    "a pipe": tar_kind(b"6"),
    "a file of several volumes": tar_kind(b"M"),
    "an unknown kind": tar_kind(b"Z"),
    "a sparse file": tar_kind(b"S", "must not be sparse"),
    "a sparse file as pax has it": tar_pax("must not be sparse", ("GNU.sparse.major", "1"), ("GNU.sparse.name", "c/3")),
    "a file through a link": Attack(
        lambda: tarred(member("cats/l", kind=b"2", link=b"/tmp"), member("cats/l/evil", PIXEL)), "a link or a device"),
    "a link of the oldest kind": Attack(
        lambda: member("cats/1.jpg", PIXEL, magic=b"") + member("cats/l", kind=b"2", magic=b"") + bytes(1024),
        "a link or a device"),
    "a name that is not UTF-8": Attack(lambda: tarred(member("cats/\udcff.jpg", PIXEL)), "must be UTF-8"),
    "dots that are not UTF-8": Attack(lambda: tarred(member("\udcc0\udcae\udcc0\udcae/3", PIXEL)), "must be UTF-8"),
    "a long name that is not UTF-8": Attack(lambda: in_tar(("cats/\udcff.jpg", PIXEL)), "must be UTF-8"),
    "NUL in a long name": Attack(lambda: in_tar(("cats/1\0.jpg", PIXEL)), "control characters"),
    "NUL in GNU's long name": Attack(
        lambda: tarred(member("", b"cats/a\0b\0", kind=b"L"), member("c", PIXEL)), "control characters"),
    "no name": Attack(lambda: tarred(member("", PIXEL)), "may not be empty"),
    "a file that ends like a folder": Attack(lambda: tarred(member("cats/3.jpg/", PIXEL)), "end like a folder's"),
    "a folder that leaves": Attack(lambda: tarred(member("../../evil/", kind=b"5")), "may not hold '..'"),
    "an absolute folder": Attack(lambda: tarred(member("/evil/", kind=b"5")), "must be relative"),
    "a folder in another case": Attack(lambda: tarred(member("Cats/", kind=b"5")), "upper and lower case"),
    "a folder where a file is": Attack(lambda: tarred(member("cats/1.jpg/", kind=b"5")), "a file's or a folder's"),
    "a folder with content": tar_size(b"52", "claims 42 bytes", kind=b"5"),
    "a negative size": tar_size(NEGATIVE, "claims -1 bytes"),
    "a negative size in digits": tar_size(b"-1", "claims -1 bytes"),
    "a size that is no number": tar_size(b"lots", "the header of a file is damaged"),
    "an astronomic size": tar_size(HUGE, "at most 67,108,864 bytes", TooLarge),
    "a huge picture": tar_size(b"%o" % (65 * MIB), "at most 67,108,864 bytes", TooLarge),
    "more claimed than held": tar_size(b"%o" % (9 * MIB), "it ends in the middle"),
    "a huge picture as pax has it": tar_pax("at most 67,108,864 bytes", ("size", "99999999999"), error=TooLarge),
    "a negative size as pax has it": tar_pax("an extended header is damaged", ("size", "-5")),
    "a size of a thousand digits": tar_pax("an extended header is damaged", ("size", "9" * 1000)),
    "a larger size as pax has it": tar_pax("it ends in the middle", ("size", "4000")),
    "a line without its length": tar_lines(b"path=cats/3.jpg\n", "an extended header is damaged"),
    "a line without its value": tar_lines(b"9 path\n\n\n", "an extended header is damaged"),
    "a line that is too long": tar_lines(b"999 path=cats/3.jpg\n", "an extended header is damaged"),
    "a line of no length": tar_lines(b"0 path=cats/3.jpg\n", "an extended header is damaged"),
    "a line that ends late": tar_lines(b"9 path=cats/3.jpg\n", "an extended header is damaged"),
    "too many lines": tar_lines(b"5 a=\n" * 101, "at most 100 lines"),
    "a huge extended header": Attack(
        lambda: tarred(header("pax", size=b"%o" % 2**30, kind=b"x")), "at most 1,048,576 bytes"),
    "a huge long name": Attack(lambda: tarred(header("", size=HUGE, kind=b"L")), "at most 1,048,576 bytes"),
    "an extended header of negative size": Attack(
        lambda: tarred(header("pax", size=NEGATIVE, kind=b"x")), "at most 1,048,576 bytes"),
    "a name of a megabyte": Attack(lambda: in_tar(("cats/" + "n" * 10**6, PIXEL)), "at most 1024 characters"),
    "two names": Attack(
        lambda: tarred(member("", b"cats/3.jpg", kind=b"L"), named("cats/4.jpg", PIXEL)), "that say the same"),
    "extended headers without end": Attack(
        lambda: tarred(*[pax(("comment", "x"))] * 3, member("cats/3.jpg", PIXEL)), "that say the same"),
    "an extended header without a file": Attack(lambda: tarred(pax(("path", "cats/3.jpg"))), "has no file"),
    "one name for all files": Attack(lambda: pax(("path", "cats/3.jpg"), kind=b"g") + TAR, "its global header"),
    "a global header in the middle": tar_kind(b"g"),
    "a damaged first header": Attack(lambda: flipped(TAR, 3), "the header of a file is damaged"),
    "a damaged header": Attack(lambda: flipped(TAR, FIRST + 3), "the header of a file is damaged"),
    "a damaged size": Attack(lambda: flipped(TAR, FIRST + 130), "the header of a file is damaged"),
    "no end": tar_end(b"", "it ends in the middle"),
    "half an end": tar_end(bytes(BLOCK), "it ends in the middle"),
    "cut in a header": Attack(lambda: TAR[: FIRST + 100], "it ends in the middle"),
    "cut in the first header": Attack(lambda: TAR[:300], "it ends in the middle"),
    "cut before a header": Attack(lambda: TAR[:FIRST], "it ends in the middle"),
    "cut in a file": Attack(lambda: TAR[: FIRST - 700], "it ends in the middle"),
    "cut in the zeros behind a file": Attack(lambda: TAR[: FIRST - 1], "it ends in the middle"),
    "zeros in the middle": tar_end(bytes(BLOCK) + member("cats/3.jpg") + bytes(1024), "stands behind its end"),
    "a tar behind the tar": Attack(lambda: TAR + TAR, "something stands behind its end"),
    "a byte behind the end": Attack(lambda: TAR + bytes(5000) + b"!", "something stands behind its end"),
    "no members": Attack(lambda: bytes(10_240), "received an empty tar", NotAnArchive),
}  # fmt: skip
