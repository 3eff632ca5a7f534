"""`manifest.json`: the size and sha256 of every file of a version, and a digest over itself.

It is written last. The outer `digest` is the sha256 of the manifest's own bytes with that value left empty, so any
byte that changes, in a listed file or in the manifest, shows.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from graft.disk import sync

MANIFEST = "manifest.json"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# Relative, with forward slashes; no part starts with a dot, so none leads out of the version's folder.
FileName = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9_][A-Za-z0-9._-]*/)*[A-Za-z0-9_][A-Za-z0-9._-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileDigest(_Strict):
    """Size in bytes and sha256 (hex) of a file's content."""

    size: int = Field(ge=0)
    sha256: Sha256

    @classmethod
    def of(cls, data: memoryview) -> Self:
        return cls(size=len(data), sha256=hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Self:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(size=file.tell(), sha256=sha256)


class Manifest(_Strict):
    format: Literal[1] = 1
    files: dict[FileName, FileDigest]
    digest: Sha256 | Literal[""] = ""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises ValueError unless `data` is, byte for byte, a manifest that was written whole."""
        try:
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            raise ValueError("it cannot be read as a manifest") from error
        if hashlib.sha256(data.replace(manifest.digest.encode(), b"", 1)).hexdigest() != manifest.digest:
            raise ValueError("its digest does not match its content")
        return manifest

    def render(self) -> bytes:
        """The bytes of `manifest.json`, its digest filled in."""
        document = self.model_dump(exclude={"digest"})
        blank = json.dumps({"digest": "", **document}, indent=2).encode()
        digest = hashlib.sha256(blank).hexdigest()
        return json.dumps({"digest": digest, **document}, indent=2).encode()


def seal(folder: Path) -> None:
    """Write the manifest of all files under `folder`, and bring files and folders safely to disk."""
    names = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    for name in names:
        sync(folder / name)
    data = Manifest(files={name: FileDigest.of_file(folder / name) for name in names}).render()
    (folder / MANIFEST).write_bytes(data)
    sync(folder / MANIFEST)
    for parent, _, _ in os.walk(folder, topdown=False):
        sync(Path(parent))


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"A version is made of plain files and folders; found {path}.")
        if path.is_file() and path != folder / MANIFEST:
            yield path
