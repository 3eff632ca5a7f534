"""One version's folder: written once, and from then on read only with what its manifest promises."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import to_json
from safetensors.numpy import load, save

from graft.disk import room_for
from graft.errors import CorruptVersion, NotFound
from graft.registry.card import METRICS, MODEL, REPORT, WEIGHTS, ModelCard
from graft.registry.manifest import MANIFEST, FileDigest, Manifest

GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}  # ESTALE: NFS, for what another machine deleted


@dataclass(frozen=True)
class Version:
    """A version that may not exist: its methods raise NotFound then, and CorruptVersion when it is damaged."""

    folder: Path
    model: str
    number: int

    def exists(self) -> bool:
        """Whether it has a valid manifest. The files that the manifest lists are not read."""
        try:
            self.manifest()
        except (NotFound, CorruptVersion):
            return False
        return True

    def manifest(self) -> Manifest:
        try:
            data = (self.folder / MANIFEST).read_bytes()
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
        try:
            card = ModelCard.model_validate_json(self._read(MODEL))
        except ValidationError as error:
            raise self._corrupt(MODEL, f"it is no model card that this release reads: {error}") from error
        if (card.model, card.version) != (self.model, self.number):
            raise self._corrupt(MODEL, f"it is the card of {card.model!r} version {card.version}")
        return card

    def weights(self) -> dict[str, np.ndarray]:
        """Parameter name -> array, as written."""
        return load(self._read(WEIGHTS))

    def file(self, name: str) -> Path:
        """The path of a verified file that the manifest lists."""
        self._check(name, self._expected(name))
        return self.folder / name

    def verify(self) -> None:
        """Read every file and hold it against the manifest."""
        for name, expected in self.manifest().files.items():
            self._check(name, expected)
        self.card()

    def __str__(self) -> str:
        return f"{self.model!r} version {self.number}"

    def _expected(self, name: str) -> FileDigest:
        files = self.manifest().files
        if name not in files:
            raise NotFound(
                f"A version has the files {', '.join(files)}; received {name[:100]!r} for {self}. Ask for one of these."
            )
        return files[name]

    def _read(self, name: str) -> bytes:
        expected = self._expected(name)
        with self._present(name):
            data = (self.folder / name).read_bytes()
        self._match(name, FileDigest.of(data), expected)
        return data

    def _check(self, name: str, expected: FileDigest) -> None:
        with self._present(name):
            found = FileDigest.of_file(self.folder / name)
        self._match(name, found, expected)

    @contextmanager
    def _present(self, name: str) -> Iterator[None]:
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
