"""From the bytes of a picture file to the checked 224x224 RGB pixels that enter the trunk.

The pixels equal `keras.utils.load_img(file, target_size=(224, 224), interpolation=...)`, but that an EXIF orientation
is applied. Every function may be called from many threads at once.
"""

import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from graft.errors import NotAPicture, TooLarge, Truncated
from graft.types import Interpolation

SIZE = 224
MAX_PIXELS = 50_000_000
# JPEG's own limit. Without it the resize filter's table of weights for a 50,000,000 x 1 PNG would take gigabytes.
MAX_SIDE = 65_535


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Decoding is bound by the processor, and at the limit takes up to 0.9 GB: no more at once than there are cores.
_CORES: Final = threading.BoundedSemaphore(cores())
# Reads that a decoder may make, beside one for every 64 bytes. Real files stay far below; see `_Source`.
_FREE_READS = 10_000

_SIGNATURES: Final = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WebP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM"),
    "TIFF": re.compile(rb"II[*+]\x00|MM\x00[*+]"),
}
_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
# EXIF orientation (tag 274 of TIFF 6.0) -> what makes the picture upright; 1 is upright already.
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow warns of what it survives (a corrupt EXIF block, a palette with transparency) and of sizes, which we check.
_PILLOWS_WARNINGS: Final = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


def sniff(data: bytes) -> str | None:
    """The format by content: JPEG, PNG, WebP, GIF, BMP or TIFF; None for anything else."""
    return next((name for name, signature in _SIGNATURES.items() if signature.match(data)), None)


def sniffed(data: bytes) -> str:
    """As `sniff` calls it. Raises NotAPicture for anything else."""
    kind = sniff(data)
    if kind is None:
        raise NotAPicture(
            f"A picture must be a {', '.join(list(_SIGNATURES)[:-1])} or TIFF file; received {_describe(data)}. "
            "Convert it to one of these and send it again."
        )
    return kind


def decode(
    data: bytes, *, interpolation: Interpolation = "nearest", max_pixels: int = MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """The picture (of several frames the first) as (224, 224, 3) uint8 RGB, upright.

    Its size is checked before its pixels are decoded. Peak memory in bytes a pixel: 4, or 8 where the picture is turned
    or converted at full size; WebP 18. Raises NotAPicture, TooLarge.
    """
    with loaded(data, max_pixels) as image:
        return _pixels(image, _FILTERS[interpolation])


@contextmanager
def loaded(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """The picture as Pillow has it, decoded and not yet `upright`. Also what fails within is the picture's fault.

    Raises as `decode` does.
    """
    kind = sniffed(data)
    _hush_pillow()
    try:
        if kind == "WebP":  # its decoder takes memory for the whole picture as soon as the file is opened
            _check_size(*_webp_size(data), max_pixels)
        source = io.BytesIO(data) if kind == "BMP" else _Source(data)  # run-length BMPs are read byte by byte
        with _CORES, Image.open(source, formats=(kind,)) as image:
            _check_size(*image.size, max_pixels)
            image.load()
            yield image
    except TooLarge:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"A picture may have at most {max_pixels:,} pixels; this one claims far more.") from error
    except Exception as error:  # what Pillow raises for a damaged file is not limited to any set of classes
        if _ends_early(kind, data, error):
            raise Truncated(
                f"A picture must be readable to its end; this {kind} file is truncated: it ends too early. "
                "Copy it again from where it is whole."
            ) from error
        raise NotAPicture(
            f"A picture must be readable to its end; this {kind} file is not: {_reason(error)}. "
            "Repair it, or save it again."
        ) from error


class _Source(io.BytesIO):
    """The file as Pillow reads it, but that one made of tiny pieces ends in an error.

    Pillow walks segments, chunks and blocks in Python: 20 MiB of empty ones would hold the interpreter for seconds and
    fill a gigabyte.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads_left = _FREE_READS + len(data) // 64

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads_left -= 1
        if self._reads_left < 0:
            raise OSError("it consists of too many small pieces")
        return io.BytesIO.read(self, size)  # super() would cost as much as the reading


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first chunk (developers.google.com/speed/webp/docs/riff_container, RFC 6386)."""
    chunk, fields = data[12:16], data[20:30].ljust(10, b"\0")
    if chunk == b"VP8X":
        return int.from_bytes(fields[4:7], "little") + 1, int.from_bytes(fields[7:10], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(fields[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return int.from_bytes(fields[6:8], "little") & 0x3FFF, int.from_bytes(fields[8:10], "little") & 0x3FFF
    raise ValueError("its first chunk is unknown")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise TooLarge(
            f"A picture may have at most {max_pixels:,} pixels and {MAX_SIDE:,} on a side; "
            f"received {width:,} x {height:,}. Send a smaller one."
        )


def _pixels(image: Image.Image, resample: Image.Resampling) -> npt.NDArray[np.uint8]:
    """Turn, resize, convert. Nearest only picks pixels, so that it may come before the conversion, which then costs
    nothing; the other filters mix pixels and must mix RGB ones, as load_img does. (Pillow resizes 16-bit grey by other
    code, which picks other pixels: that is converted first too.)
    """
    image = upright(image, orientation(image))
    if resample is not Image.Resampling.NEAREST or image.mode.startswith("I;16"):
        image = image.convert("RGB")
    return np.array(image.resize((SIZE, SIZE), resample).convert("RGB"))


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture, or a part of it, turned as its EXIF orientation asks."""
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of a loaded picture; 1 (upright) where the EXIF block cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a damaged block raises anything, and is no reason to refuse a picture that decodes
        return 1
    return value if isinstance(value, int) else 1


def _ends_early(kind: str, data: bytes, error: Exception) -> bool:
    """By the length or the place of the directory that the file claims, else by Pillow's word.

    RIFF: developers.google.com/speed/webp/docs/riff_container; TIFF 6.0, section 2.
    """
    if kind == "WebP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if kind == "TIFF" and int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big") >= len(data):
        return True
    # In a BMP's header that word says little: its two letters begin many a text, too.
    return ("image file is truncated" if kind == "BMP" else "truncated") in str(error).lower()


def _hush_pillow() -> None:
    """Put the filter in front, for the whole process and for good.

    `warnings.catch_warnings` would undo itself, but is not safe among threads before Python 3.14.
    """
    if not warnings.filters or warnings.filters[0] != _PILLOWS_WARNINGS:
        warnings.filterwarnings("ignore", module=_PILLOWS_WARNINGS[3].pattern)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its message names a Python object
        return "its header is damaged"
    return str(error) or type(error).__name__


def _describe(data: bytes) -> str:
    return f"{len(data):,} bytes that begin with {repr(data[:12])[1:]}" if data else "an empty file"
