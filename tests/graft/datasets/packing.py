"""Zips, tars and gzip files as no honest program writes them."""

import io
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence

from tests.drawing import jpeg

END = b"PK\x05\x06"
ENTRY = b"PK\x01\x02"
BLOCK = 512
Members = Sequence[tuple[str | zipfile.ZipInfo, bytes]]

GOOD: Sequence[tuple[str, bytes]] = tuple(
    (f"{label}/{i}.jpg", jpeg("discs", i + n)) for n, label in ((0, "cats"), (9, "dogs")) for i in (1, 2)
)


def packed(
    *extra: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED, good: Members = GOOD
) -> bytes:
    """A zip of two good classes, and more."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in (*good, *extra):
            archive.writestr(name, data, compress_type=method)
    return buffer.getvalue()


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    """A member of a zip with a Unix file type and permissions."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


# Where the fields of a zip's directory entry lie, and how they are packed.
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
    """Overwrite fields of the entry'th (-1: last) entry of a zip's directory."""
    starts = [i for i in range(len(data)) if data.startswith(ENTRY, i)]
    copy = bytearray(data)
    for field, value in fields.items():
        offset, layout = FIELDS[field]
        struct.pack_into(layout, copy, starts[entry] + offset, value)
    return bytes(copy)


def with_end(data: bytes, *, entries: int | None = None, length: int | None = None) -> bytes:
    """Let the end of a zip's directory claim other numbers."""
    copy, end = bytearray(data), data.rindex(END)
    if entries is not None:
        struct.pack_into("<HH", copy, end + 8, entries, entries)
    if length is not None:
        struct.pack_into("<L", copy, end + 12, length)
    return bytes(copy)


def with_end64(data: bytes, entries: int) -> bytes:
    """Let a zip's end be told by a zip64 record, too, which claims so many entries."""
    end = data.rindex(END)
    length, start = struct.unpack_from("<2L", data, end + 12)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, length, start)
    return data[:end] + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1) + data[end:]


def directory(entry: bytes, count: int, *, claimed: int) -> bytes:
    """A zip's directory of the same entry `count` times, behind what looks like a file, and its end."""
    local = b"PK\x03\x04" + bytes(26)
    return local + entry * count + struct.pack("<4s4x2H2L2x", END, claimed, claimed, count * len(entry), len(local))


def entry(name: bytes, extra: bytes = b"", *, packed: int = 0, size: int = 0) -> bytes:
    """An entry of a zip's directory, of a file at its start."""
    return struct.pack("<4s16x2L3H12x", ENTRY, packed, size, len(name), len(extra), 0) + name + extra


def tarred(*extra: bytes, end: bytes = bytes(2 * BLOCK)) -> bytes:
    """A tar of two good classes, and more members, made by `member`."""
    return b"".join(member(name, data) for name, data in GOOD) + b"".join(extra) + end


def member(name: str, data: bytes = b"", **fields: bytes) -> bytes:
    """A member of a tar: its header, its content, and zeros up to a whole block."""
    return header(name, **{"size": b"%011o" % len(data), **fields}) + data + bytes(-len(data) % BLOCK)


def header(
    name: str,
    *,
    size: bytes = b"0",
    kind: bytes = b"0",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    checksum: bytes | None = None,
) -> bytes:
    """A tar's header. size: as the field has it; magic: empty in the oldest archives."""
    begin = struct.pack("100s8s8s8s12s12s", name.encode("utf-8", "surrogateescape"), b"644", b"0", b"0", size, b"0")
    rest = struct.pack("c100s8s247x", kind, link, magic)
    total = sum(begin) + sum(rest) + 8 * ord(" ")
    return begin + (b"%06o\0 " % total if checksum is None else checksum) + rest


def pax(*records: tuple[str, str], kind: bytes = b"x") -> bytes:
    """An extended header, which says more of the member behind it."""
    lines = b"".join(record(f"{key}={value}".encode("utf-8", "surrogateescape")) for key, value in records)
    return member("pax", lines, kind=kind)


def record(text: bytes) -> bytes:
    """With its length before it, which counts itself."""
    length = len(text) + 2
    while len(b"%d %b\n" % (length, text)) != length:
        length += 1
    return b"%d %b\n" % (length, text)


def named(name: str, data: bytes = b"") -> bytes:
    """A member of a tar whose name may be of any length and hold anything."""
    return pax(("path", name)) + member("short", data)
