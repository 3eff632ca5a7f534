"""Zips as no honest program writes them."""

import io
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence

from tests.drawing import jpeg

END = b"PK\x05\x06"
ENTRY = b"PK\x01\x02"
Members = Sequence[tuple[str | zipfile.ZipInfo, bytes]]

GOOD: Members = tuple(
    (f"{label}/{i}.jpg", jpeg("discs", i + n)) for n, label in ((0, "cats"), (9, "dogs")) for i in (1, 2)
)


def packed(*extra: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Two good classes, and more."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in (*GOOD, *extra):
            archive.writestr(name, data, compress_type=method)
    return buffer.getvalue()


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    """A member with a Unix file type and permissions."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


# Where the fields of a directory entry lie, and how they are packed.
FIELDS: Mapping[str, tuple[int, str]] = {
    "version": (6, "<H"),
    "flags": (8, "<H"),
    "method": (10, "<H"),
    "crc": (16, "<L"),
    "packed": (20, "<L"),
    "size": (24, "<L"),
    "name_length": (28, "<H"),
    "offset": (42, "<L"),
}


def patched(data: bytes, entry: int, **fields: int) -> bytes:
    """Overwrite fields of the entry'th (-1: last) entry of the directory."""
    starts = [i for i in range(len(data)) if data.startswith(ENTRY, i)]
    copy = bytearray(data)
    for field, value in fields.items():
        offset, layout = FIELDS[field]
        struct.pack_into(layout, copy, starts[entry] + offset, value)
    return bytes(copy)


def with_end(data: bytes, *, entries: int | None = None, length: int | None = None) -> bytes:
    """Let the end of the directory claim other numbers."""
    copy, end = bytearray(data), data.rindex(END)
    if entries is not None:
        struct.pack_into("<HH", copy, end + 8, entries, entries)
    if length is not None:
        struct.pack_into("<L", copy, end + 12, length)
    return bytes(copy)
