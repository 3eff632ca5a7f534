"""The features of some pictures: what the store lacks is computed in one pass for all kinds, kept where that pays."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from graft.disk import room_for
from graft.errors import DiskFull, Interrupted
from graft.training.augmentation import augmented
from graft.training.features.extractor import BATCH, Batch, Extractor, Pixels
from graft.training.features.kept import Indices, Kept, Mask
from graft.training.features.kind import FeatureKind, View, worth_keeping
from graft.training.features.shards import digests_of
from graft.training.features.store import Claim, FeatureStore
from graft.types import Monitor, Progress
from graft.vgg16.trunk import TrunkRunner

POLL_SECONDS = 0.5  # between two looks at what another worker has in hand
NOT_WORTH_IT = "computing them takes less time than reading them would"
NO_ROOM = "GRAFT_FEATURES_BUDGET, or the disk, has no room for them beside what running jobs use"


class Keyed(Protocol):
    """A picture known by the hash of its file's bytes."""

    @property
    def sha256(self) -> str: ...


P = TypeVar("P", bound=Keyed)


def fill(
    store: FeatureStore,
    kinds: Sequence[FeatureKind],
    pictures: Sequence[P],
    pixels: Callable[[P], Pixels],
    trunk: Callable[[], TrunkRunner],
    monitor: Monitor,
) -> "Extracted[P]":
    """Compute what the store lacks, each picture once for all kinds of a view, or wait where another worker does it.

    kinds: of one input key; pixels: decodes a picture to uint8 (224, 224, 3); trunk: makes a runner at their precision,
    called only when it is needed. Close what comes back: it holds the rows against eviction. Raises Interrupted at a
    request to stop, with what was computed so far kept.
    """
    extracted = Extracted(store, kinds, pictures, pixels, trunk)
    try:
        _Filling(store, extracted, kinds, monitor).run()
    except BaseException:
        extracted.close()
        raise
    return extracted


class Extracted(Generic[P]):
    """Rows of features by picture. What is not kept is computed again each time it is asked for.

    Safe to read from several threads; close it when nobody reads any more.
    """

    def __init__(
        self,
        store: FeatureStore,
        kinds: Sequence[FeatureKind],
        pictures: Sequence[P],
        pixels: Callable[[P], Pixels],
        trunk: Callable[[], TrunkRunner],
    ) -> None:
        digests, self._first, self._at = np.unique(
            digests_of([p.sha256 for p in pictures]), return_index=True, return_inverse=True
        )
        self._pictures, self._pixels = pictures, pixels
        self.kept: Kept = store.open([kind for kind in kinds if worth_keeping(kind)], digests)
        self.extractor = Extractor(trunk)

    def rows(self, kind: FeatureKind, indices: Indices) -> npt.NDArray[np.float32]:
        """(len(indices), *kind.shape), of the pictures with these places in the list."""
        distinct = self._at[indices]
        rows, found = self.kept.read(kind, distinct)
        if not found.all():
            rows[~found] = self.extractor.rows(kind, self.decoders(distinct[~found], kind.view))
        return rows.astype(np.float32, copy=False)

    def decoders(self, distinct: Indices, view: View | None) -> list[Callable[[], Pixels]]:
        """What decodes these pictures, by their index in `kept`, into a view of them."""
        return [partial(self._decode, self._pictures[self._first[index]], view) for index in distinct]

    def _decode(self, picture: P, view: View | None) -> Pixels:
        pixels = self._pixels(picture)
        if view is None:
            return pixels
        return augmented(pixels, view.augmentation, (view.seed, int(picture.sha256, 16), view.number))

    def close(self) -> None:
        self.extractor.close()
        self.kept.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, eq=False)
class _Claimed(Batch):
    """A batch, by index in `kept`, and whose rows of it go where."""

    indices: Indices
    claims: Sequence[Claim]


class _Filling:
    """One call of `fill`.

    lacking: by kind, what is neither kept, nor taken in hand here, nor given up. left: by view, what has yet to go
    through the trunk, here or at another worker.
    """

    def __init__(
        self, store: FeatureStore, extracted: Extracted[Any], kinds: Sequence[FeatureKind], monitor: Monitor
    ) -> None:
        self._store, self._extracted, self._kept, self._monitor = store, extracted, extracted.kept, monitor
        self._kinds = kinds
        self._lacking = {kind: ~self._kept.has(kind) for kind in kinds if worth_keeping(kind)}
        self._left = {kind.view: self._undone(kind.view) for kind in self._lacking}
        self._total = self._pictures_left()
        self._written: list[Claim] = []  # being written
        self._done, self._timed = 0, (0, 0.0)  # pictures that went through here; how many at what time, at first

    def run(self) -> None:
        self._announce()
        while self._lacks():
            if not self._round():
                time.sleep(POLL_SECONDS)
                self._monitor.report(self._progress())
            if self._monitor.stop_requested() and (left := self._pictures_left()):
                raise Interrupted(
                    f"stopped with the features of {self._total - left} of {self._total} pictures computed; they are "
                    "kept."
                )
        self._complain()

    def _lacks(self) -> bool:
        """Whether there is anything to compute, or to wait for: other workers' shards are found here."""
        for kind, mask in self._lacking.items():
            if mask.any():
                self._kept.refresh(kind)
                mask &= ~self._kept.has(kind)
        for view, left in self._left.items():
            left &= self._undone(view)
        return any(mask.any() for mask in self._lacking.values())

    def _round(self) -> int:
        """Compute and keep all that nobody else has in hand; how many pictures that were."""
        before = self._done
        try:
            for batch, rows in self._extracted.extractor.run(self._batches()):
                for claim in batch.claims:
                    self._write(claim, batch.indices, rows[claim.kind])
                self._left[batch.kinds[0].view][batch.indices] = False
                self._done += len(batch.indices)
                self._monitor.report(self._progress())
        finally:
            for claim in [*self._written]:
                self._finish(claim)
        return self._done - before

    def _batches(self) -> Iterator[_Claimed]:
        for view in self._left:
            of_view = {kind: mask for kind, mask in self._lacking.items() if kind.view == view}
            while claims := self._store.claim(self._kept, of_view):
                for claim in claims:
                    of_view[claim.kind][claim.indices] = False
                    if claim.partial is None:  # no room for one is room for none
                        self._give_up(claim.kind)
                written = [claim for claim in claims if claim.partial]
                self._written += written
                for together, indices in _grouped(written):
                    if self._monitor.stop_requested():
                        return
                    kinds = [claim.kind for claim in together]
                    yield _Claimed(kinds, self._extracted.decoders(indices, view), indices, together)

    def _write(self, claim: Claim, indices: Indices, rows: npt.NDArray[Any]) -> None:
        if claim.partial is None or claim not in self._written:
            return
        try:
            with room_for("The feature store"):
                for digest, row in zip(self._kept.digests[indices], rows, strict=True):
                    claim.partial.append(digest, row)
        except DiskFull:
            self._written.remove(claim)
            self._abandon(claim)
        else:
            if claim.partial.full:
                self._finish(claim)

    def _finish(self, claim: Claim) -> None:
        self._written.remove(claim)
        try:
            self._store.finish(claim, self._kept)
        except DiskFull:
            self._abandon(claim)

    def _abandon(self, claim: Claim) -> None:
        if claim.partial:
            claim.partial.discard()
        self._give_up(claim.kind)

    def _give_up(self, kind: FeatureKind) -> None:
        """Nothing more of the kind is kept."""
        if kind in self._lacking:
            self._lacking.pop(kind)[:] = False

    def _undone(self, view: View | None) -> Mask:
        """What of a view some kind has yet to get."""
        undone = np.zeros(len(self._kept.digests), bool)
        for kind in self._lacking:
            if kind.view == view:
                undone |= ~self._kept.has(kind)
        return undone

    def _pictures_left(self) -> int:
        return sum(int(left.sum()) for left in self._left.values())

    def _progress(self) -> Progress:
        """The rate leaves out what came before the second batch: the trunk was being compiled."""
        left, now = self._pictures_left(), time.monotonic()
        done, since = self._timed
        if not done:
            self._timed = self._done, now
        rate = (self._done - done) / (now - since) if done and self._done > done else None
        return Progress(
            "extracting",
            step=self._total - left,
            steps=self._total,
            rate=rate and round(rate, 1),
            eta_seconds=rate and round(left / rate, 1),
        )

    def _announce(self) -> None:
        for (cut, pooling), kinds in _by_output(self._kinds).items():
            kept = sum(int(self._kept.has(kind).sum()) for kind in kinds)
            rest = len(kinds) * len(self._kept.digests) - kept
            counts: dict[str, Any] = {"kept": kept, "to_compute": rest, "streamed": 0}
            if not worth_keeping(kinds[0]):
                counts = {"kept": 0, "to_compute": 0, "streamed": rest, "reason": NOT_WORTH_IT}
            self._monitor.event("features", {"cut": cut, "pooling": pooling, **counts})

    def _complain(self) -> None:
        """Of what should have been kept and is not."""
        worth_it = [kind for kind in self._kinds if worth_keeping(kind)]
        for kind in worth_it:
            self._kept.refresh(kind)
        for (cut, pooling), kinds in _by_output(worth_it).items():
            if streamed := sum(int((~self._kept.has(kind)).sum()) for kind in kinds):
                data = {"cut": cut, "pooling": pooling, "streamed": streamed, "reason": NO_ROOM}
                self._monitor.event("features", data)


def _by_output(kinds: Sequence[FeatureKind]) -> dict[tuple[str, str | None], list[FeatureKind]]:
    """Views of the same output together."""
    found: dict[tuple[str, str | None], list[FeatureKind]] = {}
    for kind in kinds:
        found.setdefault((kind.cut, kind.pooling), []).append(kind)
    return found


def _grouped(claims: Sequence[Claim]) -> Iterator[tuple[list[Claim], Indices]]:
    """Batches of the claims' pictures, those that go through the trunk for the same ones together."""
    if not claims:
        return
    pictures = np.unique(np.concatenate([claim.indices for claim in claims]))
    needs = np.stack([np.isin(pictures, claim.indices) for claim in claims])  # (claims, pictures)
    for needed in np.unique(needs, axis=1).T:
        together = [claim for claim, is_needed in zip(claims, needed, strict=True) if is_needed]
        indices = pictures[(needs == needed[:, None]).all(axis=0)]
        for i in range(0, len(indices), BATCH):
            yield together, indices[i : i + BATCH]
