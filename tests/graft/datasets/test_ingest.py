import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.datasets.archives import ArchiveLimits
from graft.datasets.ingest import Listing, content_path, keep, unpack
from graft.errors import InvalidInput, NotAnArchive, TooLarge
from tests.graft.datasets.packing import GOOD, packed, patched, with_end, with_mode

LIMITS = ArchiveLimits(bytes=10**6, entries=50, file_bytes=10**5, ratio=100)
PIXEL = b"not a picture, but that is found out later"


def unpacked(data: bytes, folder: Path, limits: ArchiveLimits = LIMITS) -> Listing:
    """Unpack below `folder`, and check that nothing was written anywhere else in it."""
    folder.mkdir(exist_ok=True)
    archive, target = folder / "archive", folder / "a" / "b" / "target"
    target.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(data)
    try:
        return unpack(archive, target, limits)
    finally:
        outside = {p for p in folder.rglob("*") if target not in (p, *p.parents)}
        assert outside == {archive, target.parent, target.parent.parent}
        assert {p.parent.parent.name for p in target.rglob("*") if p.is_file() and p.name != "unpacking"} <= {"files"}


def test_files_are_kept_under_the_hash_of_their_content(tmp_path: Path) -> None:
    listing = unpacked(packed(("cats/copy.jpg", GOOD[0][1])), tmp_path)
    assert [(f.path, f.label, f.split) for f in listing.files] == [
        ("cats/1.jpg", "cats", None),
        ("cats/2.jpg", "cats", None),
        ("cats/copy.jpg", "cats", None),
        ("dogs/1.jpg", "dogs", None),
        ("dogs/2.jpg", "dogs", None),
    ]
    contents = {**dict(GOOD), "cats/copy.jpg": GOOD[0][1]}
    for file in listing.files:
        assert file.sha256 == hashlib.sha256(contents[file.path]).hexdigest()
        assert content_path(tmp_path / "a/b/target", file.sha256).read_bytes() == contents[file.path]


def test_the_order_of_the_archive_does_not_matter(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in reversed(GOOD):
            archive.writestr(name, data)
    assert unpacked(buffer.getvalue(), tmp_path / "1") == unpacked(packed(), tmp_path / "2")


def test_a_listing_is_read_as_it_was_written(tmp_path: Path) -> None:
    listing = unpacked(packed(), tmp_path / "1")
    listing.write(tmp_path / "listing.json")
    assert Listing.read(tmp_path / "listing.json") == listing


def test_hidden_and_system_files_are_counted_and_skipped(tmp_path: Path) -> None:
    extra = ("__MACOSX/cats/._1.jpg", "cats/.DS_Store", "dogs/Thumbs.db", ".hidden")
    listing = unpacked(packed(*((name, b"x") for name in extra)), tmp_path)
    assert (len(listing.files), listing.ignored) == (4, 4)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_folders_a_comment_and_zip64_are_fine(method: int, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.mkdir("cats")
        archive.comment = b"packed by hand"
        for name, data in GOOD:
            with archive.open(str(name), "w", force_zip64=True) as member:
                member.write(data)
    assert len(unpacked(buffer.getvalue(), tmp_path).files) == 4


def test_an_archive_inside_is_a_file_like_any_other(tmp_path: Path) -> None:
    assert len(unpacked(packed(("cats/more.zip", packed())), tmp_path).files) == 5


def test_names_that_finder_writes_as_utf8_are_read_as_such(tmp_path: Path) -> None:
    data = packed(("caXX/1.jpg", PIXEL)).replace(b"caXX/1", "ca\u00e9/1".encode())
    assert "ca\u00e9/1.jpg" in {file.path for file in unpacked(data, tmp_path).files}


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("cats/1.jpg"))
    return buffer.getvalue()


@pytest.mark.parametrize(("data", "received"), [
    (b"", "an empty file"), (b"hello", "b'hello'"), (tar(), "a tar file"), (gzip.compress(tar()), "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c" + bytes(30), "a 7z file"), (GOOD[0][1], "xff"),
])  # fmt: skip
def test_what_is_no_zip_is_refused(data: bytes, received: str, tmp_path: Path) -> None:
    with pytest.raises(NotAnArchive, match=received):
        unpacked(data, tmp_path)


LINK, DEVICE, PIPE = stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFIFO | 0o666
DEFLATED = packed(("cats/3.jpg", PIXEL * 9), method=zipfile.ZIP_DEFLATED)
HOSTILE = {
    "leaves the folder": (packed(("../../evil.jpg", PIXEL)), "'..'"),
    "leaves it later": (packed(("cats/../../../evil.jpg", PIXEL)), "'..'"),
    "absolute": (packed(("/evil.jpg", PIXEL)), "relative"),
    "drive letter": (packed(("C:/evil.jpg", PIXEL)), "relative"),
    "backslashes": (packed(("..\\..\\evil.jpg", PIXEL)), "use / between"),
    "hidden and leaving": (packed(("../.evil", PIXEL)), "'..'"),
    "NUL in a name": (packed(("cats/aXb.jpg", PIXEL)).replace(b"aXb", b"a\0b"), "control characters"),
    "a name of nothing but NUL": (packed(("XYZ", PIXEL)).replace(b"XYZ", b"\0YZ"), "a member has no name"),
    "endless name": (packed(("cats/" + "n" * 60_000, PIXEL)), "at most 1024 characters"),
    "the same name twice": (packed(("cats/1.jpg", PIXEL)), "is there twice"),
    "the same name once cleaned": (packed(("cats/./1.jpg", PIXEL)), "is there twice"),
    "link": (packed((with_mode("cats/l.jpg", LINK), b"/etc/passwd")), "a link or a device"),
    "device": (packed((with_mode("cats/d.jpg", DEVICE), b"")), "a link or a device"),
    "pipe": (packed((with_mode("cats/p.jpg", PIPE), b"")), "a link or a device"),
    "encrypted": (patched(packed(), -1, flags=0x1), "must not be encrypted"),
    "strongly encrypted": (patched(packed(), -1, flags=0x41), "must not be encrypted"),
    "bzip2": (packed(method=zipfile.ZIP_BZIP2), "stored or deflated"),
    "lzma": (packed(method=zipfile.ZIP_LZMA), "stored or deflated"),
    "future version": (patched(packed(), 0, version=99), "zip file version 9.9"),
    "members on top of each other": (patched(packed(), 1, offset=0), "overlaps another file"),
    "member reaches into the next": (patched(packed(), 0, packed=4000, size=4000), "overlaps another file"),
    "member reaches into the directory": (patched(packed(), -1, packed=9000, size=9000), "overlaps its directory"),
    "member starts behind the end": (patched(packed(), -1, offset=900_000), "overlaps its directory"),
    "member starts nowhere": (patched(packed(), 1, offset=7), "overlaps another file"),
    "another name in the local header": (packed().replace(b"cats/1.jpg", b"cots/1.jpg", 1), "differ"),
    "wrong checksum": (patched(packed(), 0, crc=1), "Bad CRC-32"),
    "claims more than it holds": (patched(DEFLATED, -1, size=3000), "claims 3,000 bytes and holds 378"),
    "claims less than it holds": (patched(DEFLATED, -1, size=10), "Bad CRC-32"),
    "damaged stream": (DEFLATED.replace(zlib.compress(PIXEL * 9, wbits=-15), b"\xff" * 50, 1), "must unpack"),
    "cut in half": (packed()[: len(packed()) // 2], "its end is missing"),
    "cut at the end": (packed()[:-1], "its end is missing"),
    "damaged directory": (packed().replace(b"PK\1\2", b"PK\1\1", 1), "its directory is damaged"),
    "directory too long": (with_end(packed(), length=10**8), "longer than the archive"),
    "directory too short": (with_end(packed(), length=100), "its directory is damaged"),
    "names longer than the directory": (patched(packed(), -1, name_length=60_000), "its directory is damaged"),
    "nothing in it": (b"PK\5\6" + bytes(18), "holds no files"),
    "one class": (packed().replace(b"dogs", b"cats").replace(b"cats/2", b"cats/3"), "there twice|one, 'cats'"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused(case: str, tmp_path: Path) -> None:
    data, message = HOSTILE[case]
    with pytest.raises(InvalidInput, match=message) as refusal:
        unpacked(data, tmp_path)
    assert type(refusal.value) is InvalidInput


@pytest.mark.parametrize(("data", "limits", "message"), [
    (packed(), replace(LIMITS, bytes=5000), "may be at most 5,000 bytes"),
    (packed(("cats/3.bin", bytes(range(256)) * 40), method=zipfile.ZIP_DEFLATED), replace(LIMITS, bytes=14_000),
     "may unpack to at most 14,000 bytes"),
    (packed(("cats/3.bin", bytes(60_000))), replace(LIMITS, file_bytes=50_000), "at most 50,000 bytes; 'cats/3.bin'"),
    (packed(("cats/3.bmp", bytes(90_000)), method=zipfile.ZIP_DEFLATED), LIMITS, "at most 100 times its packed size"),
    (patched(packed(), 0, size=90_000, packed=0), LIMITS, "at most 100 times its packed size"),
    (packed(), replace(LIMITS, entries=3), "at most 3 entries; this one has 4"),
    (with_end(packed(), entries=1), replace(LIMITS, entries=3), "at most 3 entries; this one has more"),
    (with_end(packed(), entries=65_535), LIMITS, "at most 50 entries; this one has 65,535"),
])  # fmt: skip
def test_archives_over_a_limit_are_too_large(data: bytes, limits: ArchiveLimits, message: str, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match=message):
        unpacked(data, tmp_path, limits)


@dataclass(frozen=True)
class Endless:
    """A member whose header promised less."""

    name: str = "cats/1.jpg"

    def chunks(self) -> Iterator[bytes]:
        while True:
            yield bytes(1000)


def test_bytes_are_counted_as_they_come(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="more than 5,000 bytes"):
        keep(Endless(), tmp_path, 5000)
    assert (tmp_path / "unpacking").stat().st_size <= 5000


@settings(max_examples=150, deadline=None)
@given(
    start=st.sampled_from([packed(), DEFLATED]),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    cut=st.floats(0.9, 1),
)
def test_a_damaged_archive_unpacks_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, flips: list[tuple[float, int]], cut: float
) -> None:
    data = bytearray(start)
    tail = max(0, len(data) - 400)  # the directory, where most of the rules are
    for where, value in flips:
        data[tail + int(where * (len(data) - 1 - tail))] = value
    try:
        listing = unpacked(bytes(data[: round(len(data) * cut)]), tmp_path_factory.mktemp("zip"))
    except InvalidInput:
        return
    assert listing.files
