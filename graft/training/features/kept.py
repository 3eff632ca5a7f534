"""Which features of some pictures a store has, held against eviction while they are in use."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from graft.training.features.kind import FeatureKind
from graft.training.features.shards import WHOLE, Digests, Shard

Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


class _Rows:
    """Of one kind: in which shard, and as which row of it, each picture's features are; -1 where they are not."""

    def __init__(self, folder: Path, pictures: int) -> None:
        self.folder = folder
        self.shards: list[Shard] = []
        self.seen: set[str] = set()
        self.shard = np.full(pictures, -1, np.int32)
        self.row = np.full(pictures, -1, np.int32)


class Kept:
    """A view of the store for some pictures and kinds. What it has found stays until it is closed.

    digests: (n,) S32, sorted, each once; pictures are named by their index in it. Reading is safe from several threads.
    """

    def __init__(self, folders: Mapping[FeatureKind, Path], digests: Digests) -> None:
        self.digests = digests
        self._rows = {kind: _Rows(folder, len(digests)) for kind, folder in folders.items()}
        for kind in folders:
            self.refresh(kind)

    def has(self, kind: FeatureKind) -> Mask:
        """(n,). Nothing of a kind that was not asked for when the store was opened."""
        rows = self._rows.get(kind)
        return np.zeros(len(self.digests), bool) if rows is None else rows.shard >= 0

    def index(self, digests: Digests) -> tuple[Indices, Indices]:
        """Which of these digests are among the pictures, and which pictures they are."""
        if not len(self.digests):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        at = np.minimum(np.searchsorted(self.digests, digests), len(self.digests) - 1)
        known = np.flatnonzero(self.digests[at] == digests)
        return known, at[known]

    def refresh(self, kind: FeatureKind) -> None:
        """Look for shards that have come since."""
        rows = self._rows[kind]
        for path in sorted(rows.folder.glob(f"*{WHOLE}")):
            if path.name not in rows.seen:
                rows.seen.add(path.name)
                if shard := Shard.open(path, kind.key()):
                    self.add(kind, shard)

    def add(self, kind: FeatureKind, shard: Shard) -> None:
        """Hold the shard, as used just now, or close it where it has nothing that was lacking."""
        rows = self._rows[kind]
        rows.seen.add(shard.path.name)
        row, index = self.index(shard.digests)
        lacking = rows.shard[index] < 0
        row, index = row[lacking], index[lacking]
        if not len(index):
            shard.close()
            return
        rows.row[index], rows.shard[index] = row, len(rows.shards)
        rows.shards.append(shard)
        with suppress(OSError):  # it only orders evictions
            os.utime(shard.path)

    def read(self, kind: FeatureKind, indices: Indices) -> tuple[npt.NDArray[Any], Mask]:
        """Rows (len(indices), *kind.shape) of kind.dtype, and which of them were there; the others are zeros.

        A damaged one is not there, and its shard leaves the store.
        """
        out, found = np.zeros((len(indices), kind.row_bytes), np.uint8), np.zeros(len(indices), bool)
        rows = self._rows.get(kind)
        for i, index in enumerate(indices if rows else ()):
            if rows and (at := rows.shard[index]) >= 0:
                found[i] = rows.shards[at].read_into(rows.row[index], out[i])
                if not found[i]:
                    out[i], rows.shard[index] = 0, -1
                    rows.shards[at].path.unlink(missing_ok=True)
        return out.view(kind.dtype).reshape(len(indices), *kind.shape), found

    def held(self, kind: FeatureKind) -> Sequence[Shard]:
        return self._rows[kind].shards

    def close(self) -> None:
        for rows in self._rows.values():
            while rows.shards:
                rows.shards.pop().close()
            rows.shard[:] = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
