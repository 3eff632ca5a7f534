"""Unpack an archive: every file goes under the hash of its content, so that no member's name ever becomes a path."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from graft.datasets.archives import ArchiveLimits, ArchiveReader, Member
from graft.datasets.checks import arrange, clean_path, is_ignored
from graft.datasets.manifest import Split, write_json
from graft.datasets.zips import ZipReader
from graft.errors import InvalidInput, NotAnArchive, TooLarge


@dataclass(frozen=True)
class SourceFile:
    """A file as the archive had it: not known to be a picture yet. split: None where its folders name none."""

    path: str
    split: Split | None
    label: str
    sha256: str


@dataclass(frozen=True)
class Listing:
    """What an archive held, sorted by path. ignored: how many hidden and system files were skipped."""

    files: tuple[SourceFile, ...]
    ignored: int

    def write(self, path: Path) -> None:
        write_json(
            path,
            {"format": 1, "ignored": self.ignored, "files": [[f.path, f.split, f.label, f.sha256] for f in self.files]},
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        value = json.loads(path.read_text())
        return cls(tuple(SourceFile(*row) for row in value["files"]), value["ignored"])


def content_path(folder: Path, sha256: str) -> Path:
    """Where a dataset's folder keeps the file with this hash."""
    return folder / "files" / sha256[:2] / sha256


def unpack(archive: Path, folder: Path, limits: ArchiveLimits) -> Listing:
    """Unpack into `folder`, which exists and is empty; what is in it after an error is the caller's to remove.

    Raises NotAnArchive, InvalidInput, TooLarge, OSError.
    """
    hashes: dict[str, str] = {}
    ignored = 0
    room = limits.bytes
    with open_archive(archive, limits) as reader:
        for entries, member in enumerate(reader.members(), start=1):
            if entries > limits.entries:
                raise TooLarge(f"An archive may have at most {limits.entries:,} entries; this one has more.")
            path = clean_path(member.name)
            if is_ignored(path):
                ignored += 1
                continue
            if path in hashes:
                raise InvalidInput(f"Names in an archive must differ; {path!r} is there twice. Remove one of the two.")
            hashes[path], size = keep(member, folder, min(room, limits.file_bytes))
            room -= size
    places = arrange(hashes)
    files = (SourceFile(path, places[path].split, places[path].label, hashes[path]) for path in sorted(hashes))
    return Listing(tuple(files), ignored)


def open_archive(path: Path, limits: ArchiveLimits) -> AbstractContextManager[ArchiveReader]:
    """The reader for the archive's format, told by content. Raises NotAnArchive, InvalidInput (damaged), TooLarge."""
    size = path.stat().st_size
    if size > limits.bytes:
        raise TooLarge(f"An archive may be at most {limits.bytes:,} bytes; received {size:,}. Send fewer pictures.")
    with path.open("rb") as file:
        kind = _sniff(file.read(512))
    if kind != "zip":
        raise NotAnArchive(f"An archive must be a zip file so far; received {kind}. Pack the folder as a zip.")
    return ZipReader(path, limits)


_SIGNATURES: Final = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),  # one without members
    (0, b"\x1f\x8b", "a gzip file"),
    (257, b"ustar", "a tar file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z file"),
    (0, b"Rar!", "a rar file"),
)


def _sniff(head: bytes) -> str:
    if not head:
        return "an empty file"
    named = (name for offset, signature, name in _SIGNATURES if head.startswith(signature, offset))
    return next(named, f"bytes that begin with {head[:12]!r}")


def keep(member: Member, folder: Path, limit: int) -> tuple[str, int]:
    """Write the member's content under its hash. Returns the hash and the number of bytes."""
    aside = folder / "unpacking"
    digest, size = hashlib.sha256(), 0
    with aside.open("wb") as file:
        for chunk in _within(member, limit):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
    kept = content_path(folder, digest.hexdigest())
    kept.parent.mkdir(parents=True, exist_ok=True)
    aside.replace(kept)
    return digest.hexdigest(), size


def _within(member: Member, limit: int) -> Iterator[bytes]:
    """The member's chunks, counted as they come: a header's size may lie."""
    received = 0
    for chunk in member.chunks():
        received += len(chunk)
        if received > limit:
            raise TooLarge(
                f"An archive and each of its files have a size limit; {member.name!r} passes it with more than "
                f"{limit:,} bytes. Leave it out, or send fewer pictures."
            )
        yield chunk
