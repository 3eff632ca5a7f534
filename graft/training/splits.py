"""A dataset's splits opened on their features: what the store lacks is computed first."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from graft.datasets import Datasets, Manifest, Picture
from graft.datasets.manifest import SPLITS
from graft.training.augmentation import augmented, drawn_view
from graft.training.features import Extracted, Extractor, FeatureKind, FeatureStore, fill, views_of
from graft.training.features.extractor import Pixels
from graft.training.recipe import Augmentation
from graft.types import Monitor
from graft.vgg16.trunk import TrunkRunner

Indices = npt.NDArray[np.int64]
Rows = npt.NDArray[np.float32]
FRESH = "views is 0: each epoch makes new variants of the training pictures"


@dataclass(frozen=True)
class SplitFeatures:
    """One split ready to train on: labels (n,) int32 into classes; features by indices (batch,) and epoch -> rows.

    `features` is safe to call from several threads, until the splits are closed.
    """

    classes: tuple[str, ...]
    labels: npt.NDArray[np.int32]
    features: Callable[[Indices, int], Rows]

    def __len__(self) -> int:
        return len(self.labels)


@contextmanager
def open_splits(
    datasets: Datasets,
    dataset: str,
    manifest: Manifest,
    store: FeatureStore,
    kind: FeatureKind,
    trunk: Callable[[], TrunkRunner],
    monitor: Monitor,
    augmentation: Augmentation | None = None,
    seed: int = 0,
) -> Iterator[Mapping[str, SplitFeatures]]:
    """Every split of the manifest by name, possibly empty. `trunk` is called at most once, when it is needed.

    kind: of the pictures as they are. With an `augmentation`, a training picture shows in each epoch one of its views,
    drawn from (seed, epoch, index), or with none of these a new one. Raises Interrupted at a request to stop; the
    features computed so far are kept.
    """

    def pixels(picture: Picture) -> Pixels:
        return datasets.pixels(dataset, picture.sha256, kind.input.interpolation)

    shared, training = _once(trunk), manifest.of("train")
    plain = [p for p in manifest.pictures if augmentation is None or p.split != "train"]
    with ExitStack() as opened:
        extracted = opened.enter_context(fill(store, [kind], plain, pixels, shared, monitor))
        place = {name: np.flatnonzero([p.split == name for p in plain]) for name in SPLITS}
        features: dict[str, Callable[[Indices, int], Rows]] = {
            name: partial(_plain, extracted, kind, places) for name, places in place.items()
        }
        if augmentation is not None and augmentation.views:
            views = views_of(kind, augmentation, seed)
            varied = opened.enter_context(fill(store, views, training, pixels, shared, monitor))
            features["train"] = partial(_varied, varied, views, seed)
        elif augmentation is not None:
            extractor = Extractor(shared)
            opened.callback(extractor.close)
            monitor.event("features", {"cut": kind.cut, "streamed": len(training), "reason": FRESH})
            features["train"] = partial(_fresh, extractor, kind, training, pixels, augmentation, seed)
        yield {
            name: SplitFeatures(
                manifest.classes, np.array([p.label for p in manifest.of(name)], np.int32), features[name]
            )
            for name in SPLITS
        }


def _plain(extracted: Extracted[Picture], kind: FeatureKind, places: Indices, indices: Indices, _epoch: int) -> Rows:
    return extracted.rows(kind, places[indices])


def _varied(
    extracted: Extracted[Picture], views: Sequence[FeatureKind], seed: int, indices: Indices, epoch: int
) -> Rows:
    """Each picture's view of the epoch."""
    rows = np.empty((len(indices), *views[0].shape), np.float32)
    drawn = drawn_view(seed, epoch, indices, len(views))
    for number in np.unique(drawn):
        of_view = drawn == number
        rows[of_view] = extracted.rows(views[number], indices[of_view])
    return rows


def _fresh(
    extractor: Extractor,
    kind: FeatureKind,
    pictures: Sequence[Picture],
    pixels: Callable[[Picture], Pixels],
    augmentation: Augmentation,
    seed: int,
    indices: Indices,
    epoch: int,
) -> Rows:
    """A variant of each picture that no other epoch has, through the trunk."""

    def vary(picture: Picture) -> Pixels:
        return augmented(pixels(picture), augmentation, (seed, epoch, int(picture.sha256, 16)))

    rows = extractor.rows(kind, [partial(vary, pictures[i]) for i in indices])
    return rows.astype(np.float32, copy=False)


def _once(make: Callable[[], TrunkRunner]) -> Callable[[], TrunkRunner]:
    """The same runner for everybody, made when the first one asks."""
    lock, made = threading.Lock(), list[TrunkRunner]()

    def shared() -> TrunkRunner:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return shared
