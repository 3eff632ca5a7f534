"""The feature store: a folder for each kind, shards in it, a budget of bytes for all of them together."""

import fcntl
import os
import resource
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graft.disk import room_for
from graft.errors import DiskFull
from graft.training.features.kept import Indices, Kept, Mask
from graft.training.features.kind import FeatureKind
from graft.training.features.shards import PARTIAL, WHOLE, Digests, PartialShard, claimed, evict, header_size

SHARD_PICTURES = 256  # what a crash loses at most, and what a worker takes in hand at once
SHARD_BYTES = 128 * 2**20
MOST_BYTES = 20 * 2**30  # of a budget that nobody has set


@dataclass(frozen=True, eq=False)
class Claim:
    """Pictures, by their index in a `Kept`, whose features of a kind this process is to compute and write.

    partial: where to; None where the budget, or the disk, has no room for them.
    """

    kind: FeatureKind
    indices: Indices
    partial: PartialShard | None


class FeatureStore:
    """Features under `root`, shared by any number of processes. budget: bytes, or None for half of the free disk.

    Locks only spare work: without them a row may be computed twice, and is right both times.
    """

    def __init__(self, root: Path, budget: int | None = None) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self.budget = default_budget(root) if budget is None else budget

    def open(self, kinds: Sequence[FeatureKind], digests: Digests) -> Kept:
        """What there is of these pictures, held until it is closed. digests: sorted, each once."""
        _allow_descriptors()
        for kind in kinds:
            self._folder(kind).mkdir(exist_ok=True)
        return Kept({kind: self._folder(kind) for kind in kinds}, digests)

    def claim(self, kept: Kept, lacking: Mapping[FeatureKind, Mask]) -> list[Claim]:
        """Take the next pictures in hand, up to a shard of each kind, the same ones of every kind that lacks them.

        Only what nobody else is computing just now; empty when that is nothing. Room is made by evicting whole shards,
        least recently used first, that nobody holds.
        """
        with self._alone():
            free = {}
            for kind, mask in lacking.items():
                kept.refresh(kind)
                free[kind] = mask & ~kept.has(kind)
                free[kind][kept.index(self._in_hand(kind))[1]] = False
            free = {kind: mask for kind, mask in free.items() if mask.any()}
            if not free:
                return []
            together = np.flatnonzero(np.logical_or.reduce(list(free.values())))
            together = together[: min(shard_rows(kind) for kind in free)]
            return [
                claim for kind, mask in free.items() for claim in self._claims(kind, together[mask[together]], kept)
            ]

    def finish(self, claim: Claim, kept: Kept) -> None:
        """Make what has been written for a claim whole, and hold it. Raises DiskFull."""
        if claim.partial is None:
            return
        if claim.partial.empty:
            claim.partial.discard()
            return
        with room_for("The feature store"):
            claim.partial.seal()
        with self._alone():
            shard = claim.partial.publish()
        if shard:
            kept.add(claim.kind, shard)

    def _claims(self, kind: FeatureKind, indices: Indices, kept: Kept) -> Iterator[Claim]:
        if not len(indices):
            return
        wanted = header_size(len(indices)) + len(indices) * kind.row_bytes
        room = self._room(wanted) - header_size(len(indices))
        rows = max(0, min(len(indices), room // kind.row_bytes))
        if rows:
            digests = kept.digests[indices[:rows]]
            try:
                with room_for("The feature store"):
                    partial = PartialShard(self._folder(kind), kind.key(), kind.row_bytes, digests)
            except DiskFull:  # before the budget is
                rows = 0
            else:
                yield Claim(kind, indices[:rows], partial)
        if rows < len(indices):
            yield Claim(kind, indices[rows:], None)

    def _room(self, wanted: int) -> int:
        """Bytes left under the budget, once enough is evicted for `wanted`, or all that nobody holds."""
        used, whole = 0, []
        for path, stat in _files(self._root):
            if path.suffix == WHOLE:
                whole.append((stat.st_mtime_ns, stat.st_size, path))
            elif claimed(path) is None:
                continue
            used += stat.st_size
        for _, size, path in sorted(whole):
            if used + wanted <= self.budget:
                break
            if evict(path):
                used -= size
        return self.budget - used

    def _in_hand(self, kind: FeatureKind) -> Digests:
        found = [claimed(path) for path in self._folder(kind).glob(f"*{PARTIAL}")]
        return np.concatenate([digests for digests in found if digests is not None] or [np.zeros(0, "S32")])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time looks and takes. It is held for milliseconds."""
        descriptor = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _folder(self, kind: FeatureKind) -> Path:
        return self._root / kind.key()


def _allow_descriptors() -> None:
    """Let this process open as many files as the system lets it: each shard in use is one, often more than 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems say more than they give
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def shard_rows(kind: FeatureKind) -> int:
    return max(1, min(SHARD_PICTURES, SHARD_BYTES // kind.row_bytes))


def default_budget(root: Path) -> int:
    """Half of what is free under `root`, what is there already counted as free; at most 20 GiB."""
    return min(MOST_BYTES, (shutil.disk_usage(root).free + sum(stat.st_size for _, stat in _files(root))) // 2)


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every shard, whole or partial."""
    for folder in root.iterdir():
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.suffix in (WHOLE, PARTIAL):
                try:
                    yield path, path.stat()
                except FileNotFoundError:
                    continue
