import csv
import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from graft.datasets.checking.inspection import CHUNK, inspect
from graft.datasets.checking.problems import Flaw
from graft.datasets.checking.traits import Traits
from graft.errors import Interrupted
from tests.drawing import draw, encode, jpeg
from tests.monitors import Recorder


def stored(*files: bytes) -> dict[str, bytes]:
    return {hashlib.sha256(data).hexdigest(): data for data in files}


def look(data: bytes, *, max_pixels: int = 1_000_000) -> Traits | Flaw:
    there = stored(data)
    [found] = inspect(list(there), there.__getitem__, max_pixels=max_pixels, monitor=Recorder()).values()
    return found


def flaw(data: bytes, *, max_pixels: int = 1_000_000) -> Flaw:
    found = look(data, max_pixels=max_pixels)
    assert isinstance(found, Flaw)
    return found


def test_a_picture_is_described() -> None:
    assert look(encode(draw("discs", 1).resize((300, 200)))) == Traits("JPEG", 300, 200, frames=False, grey=False)
    assert look(encode(draw("discs", 1).convert("L"), "PNG")) == Traits("PNG", 96, 96, frames=False, grey=True)


def test_what_is_no_picture_is_unreadable() -> None:
    assert flaw(b"hello").code == "not_a_picture"
    assert flaw(b"").code == "not_a_picture"
    damaged = bytearray(encode(draw("discs", 1), "PNG"))
    damaged[20] ^= 1  # the width, and so the header's checksum
    assert flaw(bytes(damaged)).code == "not_a_picture"


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF"])
def test_what_ends_too_early_is_truncated(kind: str, share: float) -> None:
    whole = encode(draw("discs", 1), kind)
    found = flaw(whole[: int(share * len(whole))])
    assert found.code == "truncated"
    assert "it ends too early" in found.message


def test_a_compressed_tiff_without_its_directory_is_truncated() -> None:
    buffer = io.BytesIO()
    draw("discs", 1).save(buffer, "TIFF", compression="tiff_lzw")  # its directory comes last
    assert flaw(buffer.getvalue()[:500]).code == "truncated"


def test_a_picture_over_the_limit_is_too_large() -> None:
    assert flaw(jpeg("discs", 1), max_pixels=96 * 96 - 1).code == "too_large"


def test_a_file_that_is_not_what_was_sent_is_damaged() -> None:
    found = inspect(["0" * 64], lambda _: jpeg("discs", 1), max_pixels=1_000_000, monitor=Recorder())
    assert [each.code for each in found.values() if isinstance(each, Flaw)] == ["damaged_on_disk"]


def test_awkward_files_are_told_apart(assets: Path) -> None:
    folder = assets / "awkward"
    rows = list(csv.DictReader(io.StringIO((folder / "manifest.tsv").read_text()), delimiter="\t"))
    codes: dict[str, set[str]] = {}
    for row in rows:
        found = look((folder / row["file"]).read_bytes(), max_pixels=50_000_000)
        code = found.code if isinstance(found, Flaw) else "frames" if found.frames else "fine"
        codes.setdefault(code, set()).add(Path(row["file"]).name)
    assert codes["truncated"] == {
        "truncated_jpeg.jpg", "truncated_image.png", "bmp__b__shortfile.bmp", "hopper_half.jpg",
    }  # fmt: skip
    assert codes["frames"] == {"chi.gif", "no_palette.gif", "apng__mode_16bit.png", "iss634.apng"}
    assert codes["too_large"] == {"bomb_20000x20000_1bit.png", "decompression_bomb.gif"}
    assert codes["not_a_picture"] == {
        "empty.jpg", "broken.png", "decompression_bomb.ico", "unknown_compression_method.png", "hopper_256x256.ico",
        "hopper.ppm", "test-card-lossless.jp2", "avif__rot1mir0.avif",
        "crash-338516dbd2f0e83caddb8ce256c22db3bd6dc40f.tif",
    }  # fmt: skip
    assert len(codes["fine"]) == len(rows) - 19


def test_each_content_is_read_once_and_progress_is_reported() -> None:
    there = stored(*(jpeg("discs", i) for i in range(3 * CHUNK + 1)))
    read: list[str] = []

    def reader(sha256: str) -> bytes:
        read.append(sha256)
        return there[sha256]

    watch = Recorder()
    found = inspect(sorted(there), reader, max_pixels=1_000_000, monitor=watch)
    assert list(found) == sorted(there) == sorted(read)
    assert [report.step for report in watch.reports] == [CHUNK, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK + 1]
    last = watch.reports[-1]
    assert (last.phase, last.steps, last.eta_seconds) == ("validating", 3 * CHUNK + 1, 0)


def test_a_stop_ends_it_between_chunks() -> None:
    there = stored(*(encode(Image.new("RGB", (1, 1), (i, 0, 0)), "PNG") for i in range(20 * CHUNK)))
    watch = Recorder(stop_after=1)
    with pytest.raises(Interrupted):
        inspect(list(there), there.__getitem__, max_pixels=1_000_000, monitor=watch)
    assert len(watch.reports) == 1
