import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.datasets.archives import ArchiveLimits
from graft.datasets.batches import Batch
from graft.datasets.intake import Intake
from graft.errors import InvalidInput, NotAnArchive, TooLarge
from tests.graft.datasets.packing import BLOCK, GOOD, member, named, packed, pax, tarred, with_end

LIMITS = ArchiveLimits(bytes=10**6, entries=50, file_bytes=10**5, ratio=100, data_bytes=3 * 10**5)
PIXEL = b"not a picture, but that is found out later"
PATHS = [name for name, _ in GOOD]


def unpacked(data: bytes, folder: Path, limits: ArchiveLimits = LIMITS) -> Batch:
    """Unpack below `folder`, and check that nothing was written anywhere else in it."""
    target = folder / "a" / "b" / "target"
    target.mkdir(parents=True, exist_ok=True)
    intake = Intake(target, limits)
    intake.archive.write_bytes(data)
    try:
        intake.unpack()
    finally:
        intake.close()
        outside = {path for path in folder.rglob("*") if target not in (path, *path.parents)}
        assert outside == {target.parent, target.parent.parent}
        assert {path.name for path in target.iterdir()} <= {"archive", "files", "unpacking"}
    assert not intake.archive.exists()
    return intake.batch()


def paths(batch: Batch) -> list[str]:
    return [entry.path for entry in batch.entries]


def tar(format: int = tarfile.PAX_FORMAT, mode: str = "w", *more: tuple[str, bytes]) -> bytes:
    """As Python packs a folder: with entries for the folders, too."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=format) as archive:  # type: ignore[call-overload]
        for name in ("./", "./cats", "./dogs/"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        for name, data in (*GOOD, *more):
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


# Every kind of archive that honest programs write.
LONG = f"dogs/{'long name ' * 20}.jpg"
KINDS: dict[str, Callable[[], bytes]] = {
    "zip": packed,
    "zip, deflated": lambda: packed(method=zipfile.ZIP_DEFLATED),
    "tar, pax": lambda: tar(tarfile.PAX_FORMAT),
    "tar, gnu": lambda: tar(tarfile.GNU_FORMAT),
    "tar, ustar": lambda: tar(tarfile.USTAR_FORMAT),
    "tar, v7": lambda: b"".join(member(name, data, magic=b"") for name, data in GOOD) + bytes(1024),
    "tar, from git": lambda: pax(("comment", "0" * 40), kind=b"g") + tar(),
    "tar, from macOS": lambda: tarred(pax(("LIBARCHIVE.xattr.com.apple.x", "a" * 999)), member("cats/._1.jpg")),
    "tar.gz": lambda: tar(tarfile.PAX_FORMAT, "w:gz"),
    "tar.gz in parts": lambda: gzip.compress(tar()[:1500]) + gzip.compress(tar()[1500:]) + bytes(100),
}


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_kept_under_the_hash_of_their_content(kind: str, tmp_path: Path) -> None:
    batch = unpacked(KINDS[kind](), tmp_path)
    assert paths(batch) == PATHS
    contents = dict(GOOD)
    for entry in batch.entries:
        kept = Intake(tmp_path / "a/b/target", LIMITS).content(entry.sha256)
        assert kept.read_bytes() == contents[entry.path]
        assert entry.sha256 == hashlib.sha256(contents[entry.path]).hexdigest()
        assert entry.size == len(contents[entry.path])


@pytest.mark.parametrize("data", [
    packed((LONG, PIXEL)),
    tar(tarfile.PAX_FORMAT, "w", (LONG, PIXEL)),
    tar(tarfile.GNU_FORMAT, "w:gz", (LONG, PIXEL)),
    tarred(named(LONG, PIXEL)),
    packed((LONG.replace("o", "\u00f6"), PIXEL)),
    tar(tarfile.PAX_FORMAT, "w", (LONG.replace("o", "\u00f6"), PIXEL)),
    tar(tarfile.GNU_FORMAT, "w", (LONG.replace("o", "\u00f6"), PIXEL)),
])  # fmt: skip
def test_long_names_and_letters_beyond_ascii_are_read(data: bytes, tmp_path: Path) -> None:
    assert set(paths(unpacked(data, tmp_path))) - set(PATHS) in ({LONG}, {LONG.replace("o", "\u00f6")})


def test_the_order_of_the_archive_does_not_matter(tmp_path: Path) -> None:
    turned = packed(*reversed(GOOD), good=())
    assert unpacked(turned, tmp_path / "1").entries == unpacked(packed(), tmp_path / "2").entries


def test_the_same_content_twice_is_kept_once(tmp_path: Path) -> None:
    batch = unpacked(packed(("cats/copy.jpg", GOOD[0][1])), tmp_path)
    assert len(batch.entries) == 5
    assert len([*tmp_path.glob("a/b/target/files/*/*")]) == 4


SKIPPED = ("__MACOSX/cats/._1.jpg", "cats/.DS_Store", "dogs/Thumbs.db", ".hidden", "dogs/1.jpg:Zone.Identifier")


@pytest.mark.parametrize("pack", [packed, lambda *files: tarred(*(member(*file) for file in files))])
def test_hidden_and_system_files_are_counted_and_skipped(pack: Callable[..., bytes], tmp_path: Path) -> None:
    batch = unpacked(pack(*((name, b"x") for name in SKIPPED)), tmp_path)
    assert (paths(batch), batch.ignored) == (PATHS, 5)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_folders_a_comment_and_zip64_are_fine(method: int, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.mkdir("cats")
        archive.comment = b"packed by hand"
        for name, data in GOOD:
            with archive.open(name, "w", force_zip64=True) as opened:
                opened.write(data)
    assert paths(unpacked(buffer.getvalue(), tmp_path)) == PATHS


def test_names_that_finder_writes_as_utf8_are_read_as_such(tmp_path: Path) -> None:
    data = packed(("caXX/1.jpg", PIXEL)).replace(b"caXX/1", "ca\u00e9/1".encode())
    assert "ca\u00e9/1.jpg" in paths(unpacked(data, tmp_path))


def test_a_gzip_of_mnist_is_no_archive_inside(tmp_path: Path) -> None:
    idx = "train-images-idx3-ubyte.gz"
    assert idx in paths(unpacked(packed((idx, gzip.compress(PIXEL))), tmp_path))


def test_data_files_have_a_limit_of_their_own(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    for i, name in enumerate(("all.json", "all.JSONL", "a.csv", "train.bin", "train-labels-idx1-ubyte")):
        assert name in paths(unpacked(packed((name, data)), tmp_path / str(i)))
        assert name in paths(unpacked(tarred(member(name, data)), tmp_path / f"tar{i}"))
    for pack in (packed, lambda file: tarred(member(*file))):
        with pytest.raises(TooLarge, match=r"at most 100,000 bytes; 'cats/3\.jpg' has 256,000"):
            unpacked(pack(("cats/3.jpg", data)), tmp_path / "picture")
        with pytest.raises(TooLarge, match=r"at most 300,000 bytes; 'all\.json' has 512,000"):
            unpacked(pack(("all.json", 2 * data)), tmp_path / "data")


@pytest.mark.parametrize(("data", "limits", "message"), [
    (packed(), replace(LIMITS, bytes=5000), "may be at most 5,000 bytes"),
    (packed(("cats/3.bin", bytes(range(256)) * 40), method=zipfile.ZIP_DEFLATED), replace(LIMITS, bytes=14_000),
     "may unpack to at most 14,000 bytes"),
    (gzip.compress(tar()), replace(LIMITS, bytes=14_000), "may unpack to at most 14,000 bytes"),
    (packed(("cats/3.bmp", bytes(90_000)), method=zipfile.ZIP_DEFLATED), LIMITS, "at most 100 times its packed size"),
    (packed(), replace(LIMITS, entries=3), "at most 3 entries; this one has 4"),
    (with_end(packed(), entries=1), replace(LIMITS, entries=3), "at most 3 entries; this one has more"),
    (with_end(packed(), entries=65_535), LIMITS, "at most 50 entries; this one has 65,535"),
    (tarred(), replace(LIMITS, entries=3), "at most 3 entries; this one has more"),
    (tarred(*(member(f"{i}/", kind=b"5") for i in range(60))), LIMITS, "at most 50 entries; this one has more"),
    (tarred(member("/".join("a" * 60) + "/", kind=b"5"), member("b.jpg")), LIMITS, "at most 50 entries"),
    (tarred(*(named(f"{i}{'n' * 250}", b"") for i in range(40))), LIMITS, "at most 6,400 characters altogether"),
])  # fmt: skip
def test_archives_over_a_limit_are_too_large(data: bytes, limits: ArchiveLimits, message: str, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match=message):
        unpacked(data, tmp_path, limits)


@pytest.mark.parametrize("piece", [1, 700, 10**6])
def test_bytes_are_counted_as_they_come(piece: int, tmp_path: Path) -> None:
    intake = Intake(tmp_path, replace(LIMITS, file_bytes=5000))
    intake.begin("cats/1.jpg")
    for _ in range(5000 // piece):
        intake.write(bytes(piece))
    with pytest.raises(TooLarge, match="more than 5,000 bytes"):
        intake.write(bytes(max(piece, 701)))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 5000


@pytest.mark.parametrize("size", [0, 1, 5 * 10**6])
def test_a_file_may_come_in_pieces_of_any_size(size: int, tmp_path: Path) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    for number, piece in enumerate((max(1, size // 3), 2 * 10**6)):
        intake = Intake(tmp_path / str(number), ArchiveLimits())
        (tmp_path / str(number)).mkdir()
        intake.begin("cats/1.jpg")
        for start in range(0, size, piece):
            intake.write(data[start : min(size, start + piece)])
        intake.end()
        (entry,) = intake.batch().entries
        assert (entry.size, intake.content(entry.sha256).read_bytes()) == (size, data[:size])


def test_an_archive_inside_is_found_whatever_the_pieces(tmp_path: Path) -> None:
    for data in (packed(), tarred()):
        intake = Intake(tmp_path, LIMITS)
        intake.begin("cats/1.jpg")
        for byte in data:
            intake.write(bytes([byte]))
        with pytest.raises(InvalidInput, match="must not be archives"):
            intake.end()


SMALL = [("cats/1.jpg", PIXEL), ("dogs/1.jpg", PIXEL * 20)]
SMALL_TAR = b"".join(member(*file) for file in SMALL) + bytes(1024)


@pytest.mark.parametrize("data", [
    packed(*SMALL, good=()), SMALL_TAR, gzip.compress(SMALL_TAR),
    gzip.compress(SMALL_TAR[:700]) + gzip.compress(SMALL_TAR[700:]),
], ids=["zip", "tar", "tar.gz", "tar.gz in parts"])  # fmt: skip
def test_an_archive_that_is_cut_anywhere_is_refused(data: bytes, tmp_path: Path) -> None:
    intake = Intake(tmp_path, LIMITS)
    intake.archive.write_bytes(data)
    intake.unpack()
    for length in range(0, len(data), 1 if len(data) < 1000 else 16):
        intake = Intake(tmp_path, LIMITS)
        intake.archive.write_bytes(data[:length])
        with pytest.raises(InvalidInput):
            intake.unpack()


@pytest.mark.parametrize("data", [packed(*SMALL, good=()), SMALL_TAR, gzip.compress(SMALL_TAR)])
@pytest.mark.parametrize("size", [1, 300, 512, 10**6])
def test_an_archive_may_come_in_pieces(data: bytes, size: int, tmp_path: Path) -> None:
    intake = Intake(tmp_path, LIMITS)
    for at in range(0, len(data), size):
        intake.append(data[at : at + size])
    intake.unpack()
    assert paths(intake.batch()) == [name for name, _ in SMALL]


@pytest.mark.parametrize("size", [1, 300, 512, 10**6])
def test_what_is_no_archive_is_told_by_its_first_block(size: int, tmp_path: Path) -> None:
    intake = Intake(tmp_path, LIMITS)
    data = PIXEL * 30
    before = (512 - 1) // size * size
    for at in range(0, before, size):
        intake.append(data[at : at + size])
    with pytest.raises(NotAnArchive, match="begin with 'not a pictur'"):
        intake.append(data[before : before + size])


def flipped(data: bytes, flips: list[tuple[float, int]]) -> bytes:
    """With other bytes in places between 0 (the begin) and 1 (the end)."""
    copy = bytearray(data)
    for where, value in flips:
        copy[int(where * (len(data) - 1))] = value
    return bytes(copy)


def summed(header: bytes) -> bytes:
    """A tar's header with the checksum that it should have."""
    total = sum(header[:148]) + 8 * ord(" ") + sum(header[156:])
    return header[:148] + b"%06o\0 " % total + header[156:]


ZIP = packed(*SMALL, good=(), method=zipfile.ZIP_DEFLATED)
LINES = pax(("path", "cats/3.jpg"), ("size", "42"))
REST = member("short", PIXEL) + bytes(1024)
Damage = Callable[[list[tuple[float, int]]], bytes]
DAMAGES: dict[str, Damage] = {
    "zip": lambda flips: flipped(ZIP, flips),
    "zip's directory": lambda flips: ZIP[:-250] + flipped(ZIP[-250:], flips),
    "tar": lambda flips: flipped(SMALL_TAR, flips),
    "tar's header": lambda flips: summed(flipped(SMALL_TAR[:BLOCK], flips)) + SMALL_TAR[BLOCK:],
    "tar's extended header": lambda flips: (
        LINES[:BLOCK] + flipped(LINES[BLOCK : BLOCK + 32], flips) + LINES[BLOCK + 32 :] + REST
    ),
    "tar.gz": lambda flips: flipped(gzip.compress(SMALL_TAR, mtime=0), flips),
    "tar in gzip": lambda flips: gzip.compress(flipped(SMALL_TAR, flips)),
}


@pytest.mark.parametrize("what", DAMAGES)
@settings(max_examples=60)
@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6), cut=st.floats(0.9, 1))
def test_a_damaged_archive_unpacks_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, what: str, flips: list[tuple[float, int]], cut: float
) -> None:
    data = DAMAGES[what](flips)
    try:
        batch = unpacked(data[: round(len(data) * cut)], tmp_path_factory.mktemp("archive"))
    except InvalidInput:
        return
    assert batch.entries
