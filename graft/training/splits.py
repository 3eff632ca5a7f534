"""A dataset's splits opened on their features: what the store lacks is computed first."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graft.datasets import Datasets, Manifest, Picture
from graft.datasets.manifest import SPLITS
from graft.errors import Interrupted
from graft.training.features import FeatureKind, FeatureStore, extract
from graft.types import Monitor, Progress
from graft.vgg16.trunk import TrunkRunner


@dataclass(frozen=True)
class SplitFeatures:
    """One split ready to train on: labels (n,) int32 into classes; features by indices, (batch,) -> float32 rows."""

    classes: tuple[str, ...]
    labels: npt.NDArray[np.int32]
    features: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.labels)


def open_splits(
    datasets: Datasets,
    dataset: str,
    manifest: Manifest,
    store: FeatureStore,
    kind: FeatureKind,
    trunk: Callable[[], TrunkRunner],
    monitor: Monitor,
) -> Mapping[str, SplitFeatures]:
    """Every split of the manifest by name, possibly empty. `trunk` is called only when features must be computed.

    Raises Interrupted at a request to stop; the features computed so far are kept.
    """
    missing = store.missing(kind, manifest.pictures)
    total = len({picture.sha256 for picture in manifest.pictures})
    monitor.event("features", {"cut": kind.cut, "kept": total - len(missing), "to_compute": len(missing)})

    def pixels(picture: Picture) -> npt.NDArray[np.uint8]:
        return datasets.pixels(dataset, picture.sha256, kind.input.interpolation)

    if missing:
        _compute(extract(trunk(), kind, missing, pixels), store, kind, len(missing), monitor)
    return {name: _split(store, kind, manifest.classes, manifest.of(name)) for name in SPLITS}


def _compute(
    batches: Iterable[list[tuple[Picture, npt.NDArray[np.float32]]]],
    store: FeatureStore,
    kind: FeatureKind,
    pictures: int,
    monitor: Monitor,
) -> None:
    started, done = time.monotonic(), 0
    for batch in batches:
        for picture, features in batch:
            store.write(kind, picture, features)
        done += len(batch)
        left = (time.monotonic() - started) / done * (pictures - done)
        monitor.report(Progress("extracting", step=done, steps=pictures, eta_seconds=round(left, 1)))
        if monitor.stop_requested():
            raise Interrupted(f"stopped with the features of {done} of {pictures} pictures computed; they are kept.")


def _split(
    store: FeatureStore, kind: FeatureKind, classes: tuple[str, ...], pictures: Sequence[Picture]
) -> SplitFeatures:
    labels = np.array([picture.label for picture in pictures], np.int32)
    return SplitFeatures(classes, labels, lambda indices: store.read(kind, [pictures[i] for i in indices]))
