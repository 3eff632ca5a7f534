import csv
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from graft import images
from graft.datasets.checking.traits import traits
from graft.errors import NotAPicture, TooLarge
from graft.types import Interpolation
from tests.drawing import draw, encode

INTERPOLATIONS: tuple[Interpolation, ...] = ("nearest", "bilinear", "lanczos")
FORMATS = ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF")
ORIENTATION = 0x0112


def as_pillow(data: bytes) -> np.ndarray:
    """What Pillow makes of the file: upright, RGB, resized by nearest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            upright = ImageOps.exif_transpose(image)
            return np.array(upright.convert("RGB").resize((224, 224), Image.Resampling.NEAREST))


def as_keras(data: bytes, interpolation: Interpolation) -> np.ndarray:
    # Imported here: only this one comparison needs it, and it takes seconds.
    from keras.utils import load_img

    return np.array(load_img(io.BytesIO(data), target_size=(224, 224), interpolation=interpolation))


def in_mode(mode: str, width: int, height: int) -> Image.Image:
    """Noise, so that every pixel picked wrongly shows."""
    noise = np.random.default_rng(width).integers(0, 256, (height, width, 4), np.uint8)
    if mode.startswith("I;16"):
        return Image.fromarray(noise[..., 0].astype(np.uint16) * 3)
    return Image.fromarray(noise, "RGBA").convert("RGB").convert(mode) if mode != "RGBA" else Image.fromarray(noise)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_format_is_told_by_content(kind: str) -> None:
    assert images.sniff(encode(draw("discs", 1), kind)) == kind


@pytest.mark.parametrize(("mode", "kind"), [
    ("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"),
    ("RGB", "PNG"), ("RGBA", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("1", "PNG"), ("I;16", "PNG"),
    ("RGBA", "WebP"), ("P", "GIF"), ("RGB", "BMP"),
    ("RGB", "TIFF"), ("CMYK", "TIFF"), ("F", "TIFF"), ("I", "TIFF"), ("YCbCr", "TIFF"),
])  # fmt: skip
def test_pixels_equal_those_of_keras(mode: str, kind: str) -> None:
    for width, height in ((300, 200), (224, 224), (448, 97), (1, 1), (671, 1000)):
        data = encode(in_mode(mode, width, height), kind)
        described = traits(data)
        assert (described.format, described.width, described.height) == (kind, width, height)
        assert described.grey == (mode in {"L", "LA", "1", "I;16", "F", "I"})
        for interpolation in INTERPOLATIONS:
            decoded = images.decode(data, interpolation=interpolation)
            assert decoded.shape == (224, 224, 3)
            assert decoded.dtype == np.uint8
            np.testing.assert_array_equal(decoded, as_keras(data, interpolation), f"{width}x{height} {interpolation}")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    upright = in_mode("RGB", 300, 200)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    upright.save(buffer, kind, exif=exif, **({"lossless": True} if kind == "WebP" else {}))
    np.testing.assert_array_equal(images.decode(buffer.getvalue()), as_pillow(buffer.getvalue()))
    if orientation != 1:
        assert (images.decode(buffer.getvalue()) != as_pillow(encode(upright, kind))).any()


def test_of_an_animation_the_first_frame_counts() -> None:
    first, second = draw("discs", 1), draw("stripes", 1)
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=[second])
    np.testing.assert_array_equal(images.decode(buffer.getvalue()), images.decode(encode(first, "GIF")))


@pytest.mark.parametrize(("data", "reason"), [
    (b"", "an empty file"),
    (b"hello, I am a text", "begin with 'hello, I am '"),
    (b"\0\0\0\x20ftypavif" + bytes(100), "ftypavif"),
    (b"BM but not a bitmap at all, only a text", "this BMP file is not"),
    (encode(draw("discs", 1), "PNG")[:-200], "truncated"),
    (encode(draw("discs", 1), "JPEG")[:700], "truncated"),
    (b"RIFF\x10\0\0\0WEBPJUNK" + bytes(40), "first chunk"),
])  # fmt: skip
def test_what_is_no_picture_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(NotAPicture) as refusal:
        images.decode(data)
    assert reason in str(refusal.value)


def test_the_limit_on_pixels_is_checked_before_decoding() -> None:
    data = encode(in_mode("RGB", 300, 200), "PNG")
    assert images.decode(data, max_pixels=60_000).shape == (224, 224, 3)
    with pytest.raises(TooLarge, match=r"59,999 pixels .* received 300 x 200"):
        images.decode(data, max_pixels=59_999)
    headed_for_more = data[:16] + (100_000).to_bytes(4, "big") * 2 + data[24:]
    with pytest.raises(NotAPicture):  # the header's checksum
        images.decode(headed_for_more)


@pytest.mark.parametrize("size", [(10_000, 9_000), (12_000, 12_000), (15_000, 16_000)])
def test_sizes_that_pillow_warns_of_or_refuses_are_too_large(size: tuple[int, int]) -> None:
    with pytest.raises(TooLarge):
        images.decode(encode(Image.new("1", size), "PNG"))


def test_a_long_thin_picture_is_too_large() -> None:
    with pytest.raises(TooLarge, match="65,535 on a side"):
        images.decode(encode(Image.new("1", (65_536, 1)), "PNG"))


@pytest.mark.parametrize("chunk", [
    b"VP8X\x0a\0\0\0\0\0\0\0" + (16_382).to_bytes(3, "little") * 2,
    b"VP8L\x0a\0\0\0\x2f" + (16_382 | 16_382 << 14).to_bytes(4, "little") + bytes(1),
    b"VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a" + (16_383).to_bytes(2, "little") * 2,
])  # fmt: skip
def test_a_webp_is_measured_before_its_decoder_takes_memory(chunk: bytes) -> None:
    with pytest.raises(TooLarge, match="received 16,383 x 16,383"):
        images.decode(b"RIFF\x20\0\0\0WEBP" + chunk)


@pytest.mark.parametrize("data", [
    b"\xff\xd8" + b"\xff\xfe\0\x02" * 300_000,
    b"\xff\xd8" + b"\xff" * 1_000_000,
    b"GIF89a\x09\0\x09\0\0\0\0" + b"\x21\xfe\x01a\0" * 300_000 + encode(draw("discs", 1), "GIF")[13:],
])  # fmt: skip
def test_a_file_of_tiny_pieces_ends_early(data: bytes) -> None:
    with pytest.raises(NotAPicture, match="too many small pieces"):
        images.decode(data)


def test_many_threads_decode_at_once() -> None:
    files = [encode(draw(label, 3), kind) for label in ("discs", "stripes") for kind in FORMATS] * 4
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(images.decode, files))
    for data, decoded in zip(files, together, strict=True):
        np.testing.assert_array_equal(decoded, images.decode(data))


@settings(max_examples=120, deadline=None)
@given(
    kind=st.sampled_from(FORMATS),
    mode=st.sampled_from(["RGB", "L"]),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
)
def test_a_damaged_file_decodes_or_is_refused(kind: str, mode: str, cut: float, flips: list[tuple[float, int]]) -> None:
    data = bytearray(encode(in_mode(mode, 40, 30), kind))
    for where, value in flips:
        data[int(where * (len(data) - 1))] = value
    damaged = bytes(data[: round(cut * len(data))] if cut > 0.5 else data)
    refusals = []
    for take in (images.decode, traits):
        try:  # any other error fails the test, and so does a warning
            take(damaged)
        except (NotAPicture, TooLarge) as error:
            refusals.append(str(error))
    assert len(set(refusals)) * 2 == len(refusals)  # what is described can be decoded, and the reverse


@pytest.fixture(scope="module")
def awkward(assets: Path) -> Path:
    return assets / "awkward"


def listed(awkward: Path) -> Iterator[dict[str, str]]:
    with (awkward / "manifest.tsv").open() as table:
        yield from csv.DictReader(table, delimiter="\t")


def test_awkward_pictures_are_what_pillow_makes_of_them(awkward: Path) -> None:
    seen = 0
    for row in listed(awkward):
        seen += 1
        data = (awkward / row["file"]).read_bytes()
        readable = row["to_rgb"] == "yes" and row["format"] in {"JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF"}
        if readable:
            np.testing.assert_array_equal(images.decode(data), as_pillow(data), row["file"])
            assert traits(data).format.upper() in {row["format"], "JPEG"}
        else:
            for take in (images.decode, traits):
                with pytest.raises((NotAPicture, TooLarge)):
                    take(data)
    assert seen == 55


# Peak memory of each picture, in a process of its own: VmHWM is reset before each.
MEASURE = """
import json, sys
from pathlib import Path
from graft import images
from graft.errors import GraftError

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

images.decode(Path(sys.argv[1]).read_bytes())
for name in sys.argv[2:]:
    data = Path(name).read_bytes()
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    try:
        images.decode(data)
    except GraftError:
        pass
    print(json.dumps([name, peak() - before]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_no_awkward_picture_takes_300_mb(awkward: Path) -> None:
    files = [str(awkward / row["file"]) for row in listed(awkward)]
    # -W error: a warning that Pillow let out would end the process.
    command = [sys.executable, "-W", "error", "-c", MEASURE, files[0], *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    growth = dict(json.loads(line) for line in done.stdout.splitlines())
    assert len(growth) == 55
    assert {name: size for name, size in growth.items() if size > 300e6} == {}
