"""One version's folder: written once, and from then on read only with what its manifest promises."""

import errno
import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import to_json
from safetensors.numpy import save

from graft.disk import room_for
from graft.errors import CorruptVersion, NotFound
from graft.registry.arrays import read_arrays
from graft.registry.card import METRICS, MODEL, REPORT, WEIGHTS, ModelCard
from graft.registry.manifest import MANIFEST, FileDigest, Manifest

GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}  # ESTALE: NFS, for what another machine deleted

Signature = frozenset[tuple[str, int, int, int, int]]


@dataclass(frozen=True)
class Version:
    """A version that may not exist: its methods raise NotFound then, and CorruptVersion when it is damaged."""

    folder: Path
    model: str
    number: int

    def present(self) -> bool:
        """Whether its manifest is there; reading it says whether it is whole."""
        try:
            (self.folder / MANIFEST).lstat()
        except OSError as error:
            if error.errno in GONE:
                return False
            raise
        return True

    def exists(self) -> bool:
        """Whether it has a valid manifest. The files that the manifest lists are not read."""
        try:
            self.manifest()
        except (NotFound, CorruptVersion):
            return False
        return True

    def signature(self) -> Signature:
        """Name, size, inode and times of all that is in the folder: another one as soon as a file is. Reads nothing."""
        found = set()
        for parent, folders, files in os.walk(self.folder):
            for path in (os.path.join(parent, name) for name in (*folders, *files)):  # noqa: PTH118 - five times as fast
                with suppress(OSError):  # gone meanwhile
                    at = os.lstat(path)
                    found.add((path, at.st_size, at.st_ino, at.st_mtime_ns, at.st_ctime_ns))
        return frozenset(found)

    def manifest(self) -> Manifest:
        try:
            data = self._plain(MANIFEST).read_bytes()
        except OSError as error:
            if error.errno in GONE:
                raise NotFound(
                    f"A version must have been published to be used; {self} has not been, or was deleted. "
                    "Ask for one that the model lists."
                ) from error
            raise
        try:
            return Manifest.parse(data)
        except ValueError as error:
            raise self._corrupt(MANIFEST, str(error)) from error

    def card(self) -> ModelCard:
        return self._card(self.manifest())

    def load(self) -> tuple[ModelCard, dict[str, np.ndarray]]:
        """The card, and parameter name -> float32 array; both by the same manifest, so that they belong together."""
        manifest = self.manifest()
        card = self._card(manifest)
        data = self._read(WEIGHTS, manifest)
        try:
            return card, read_arrays(data, card.parameters)
        except ValueError as error:
            raise self._corrupt(WEIGHTS, str(error)) from error

    def file(self, name: str) -> Path:
        """The path of a verified file that the manifest lists."""
        self._check(name, self._listed(name, self.manifest()))
        return self.folder / name

    def verify(self) -> None:
        """Read every file and hold it against the manifest."""
        manifest = self.manifest()
        for name, expected in manifest.files.items():
            self._check(name, expected)
        self._card(manifest)

    def __str__(self) -> str:
        return f"{self.model!r} version {self.number}"

    def _card(self, manifest: Manifest) -> ModelCard:
        try:
            card = ModelCard.model_validate_json(bytes(self._read(MODEL, manifest)))
        except ValidationError as error:
            first = error.errors()[0]
            problem = ": ".join([*map(str, first["loc"]), first["msg"]])
            raise self._corrupt(MODEL, f"it is no model card that this release reads ({problem})") from error
        if (card.model, card.version) != (self.model, self.number):
            raise self._corrupt(MODEL, f"it is the card of {card.model!r} version {card.version}")
        return card

    def _listed(self, name: str, manifest: Manifest) -> FileDigest:
        if name not in manifest.files:
            raise NotFound(
                f"A version has the files {', '.join(manifest.files)}; received {name[:100]!r} for {self}. "
                "Ask for one of these."
            )
        return manifest.files[name]

    def _read(self, name: str, manifest: Manifest) -> memoryview:
        """The bytes that were checked, for what is parsed."""
        expected = self._listed(name, manifest)
        # Pages of its own, which go back when the bytes do: the heap of the thread that loads would keep them.
        memory = mmap.mmap(-1, expected.size + 1, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with self._readable(name), self._plain(name).open("rb") as file:
            size = file.readinto(memory)
        if size > expected.size:
            raise self._corrupt(name, f"expected {expected.size} bytes; it has more")
        data = memoryview(memory).toreadonly()[:size]
        self._match(name, FileDigest.of(data), expected)
        return data

    def _check(self, name: str, expected: FileDigest) -> None:
        with self._readable(name):
            found = FileDigest.of_file(self._plain(name))
        self._match(name, found, expected)

    def _plain(self, name: str) -> Path:
        """The path of a file that can be read to its end: neither a folder, nor a link, nor a pipe that waits."""
        path = self.folder / name
        if not stat.S_ISREG(path.lstat().st_mode):
            raise self._corrupt(name, "it is not a plain file")
        return path

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        """Tell a file that is missing from a version from a version that was deleted a moment ago."""
        try:
            yield
        except OSError as error:
            if error.errno not in GONE:
                raise
            self.manifest()
            raise self._corrupt(name, "it is missing") from error

    def _match(self, name: str, found: FileDigest, expected: FileDigest) -> None:
        if found != expected:
            raise self._corrupt(
                name, f"expected {expected.size} bytes, sha256 {expected.sha256}; found {found.size}, {found.sha256}"
            )

    def _corrupt(self, name: str, problem: str) -> CorruptVersion:
        return CorruptVersion(
            f"Every file of a version must match its manifest; {name} of {self} does not: {problem}. "
            "Restore the file from a copy, or delete the version and train again."
        )


def write_version(
    folder: Path,
    card: ModelCard,
    weights: Mapping[str, np.ndarray],
    metrics: Mapping[str, Any],
    report: Mapping[str, bytes],
) -> None:
    """Fill a staged folder: the card, the weights as float32, `metrics.json`, and report file name -> content.

    Numbers in the metrics that are not finite become null. Raises ValueError when weights and card differ in names or
    shapes; DiskFull.
    """
    shapes = {name: array.shape for name, array in weights.items()}
    if shapes != {parameter.name: parameter.shape for parameter in card.parameters}:
        raise ValueError(
            f"The card's parameters must be those of the weights; received {shapes} for {card.parameters}."
        )
    # safetensors writes the memory behind an array, so a view with strides would come out scrambled.
    dense = {name: np.asarray(array, dtype=np.float32, order="C") for name, array in weights.items()}
    with room_for("A model version"):
        (folder / MODEL).write_text(card.model_dump_json(indent=2), encoding="utf-8")
        (folder / WEIGHTS).write_bytes(save(dense))
        (folder / METRICS).write_bytes(to_json(metrics, indent=2, inf_nan_mode="null"))
        (folder / REPORT).mkdir()
        for name, data in report.items():
            (folder / REPORT / name).write_bytes(data)
