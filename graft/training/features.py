"""The feature store: the frozen trunk's output for a picture, computed once, kept under the key of all that made it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from graft.disk import room_for, write_whole
from graft.types import InputKey
from graft.vgg16.heads import pooled
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT, feature_shape
from graft.vgg16.trunk import TrunkRunner

Features = npt.NDArray[np.float32]
EXTRACTION_BATCH = 8  # pictures a trunk pass: on a CPU larger batches are no faster (within 3 %), and stop later


P = TypeVar("P", bound="Keyed")


class Keyed(Protocol):
    """A picture known by the hash of its file's bytes."""

    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class FeatureKind:
    """All that decides a picture's features beside its bytes. `view`: the augmented view, 0 for the plain picture."""

    input: InputKey
    trunk_digest: str
    cut: str
    pooling: Literal["avg", "max"] | None
    view: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        height, width, channels = feature_shape(self.cut)
        return (height, width, channels) if self.pooling is None else (channels,)

    def key(self, picture_sha256: str) -> str:
        """The content address, hex sha256: equal keys mean equal features."""
        content = {"picture": picture_sha256, **asdict(self)}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class FeatureStore:
    """Features under `root`, one file each. Two processes may compute the same one: either leaves equal bytes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def missing(self, kind: FeatureKind, pictures: Sequence[P]) -> list[P]:
        """The pictures whose features must be computed, each distinct content once, in order."""
        distinct = {picture.sha256: picture for picture in pictures}
        size = _file_size(kind)
        return [p for p in distinct.values() if _size(self._path(kind, p.sha256)) != size]

    def read(self, kind: FeatureKind, pictures: Sequence[Keyed]) -> Features:
        """(n, *kind.shape) float32, in the order of `pictures`."""
        out = np.empty((len(pictures), *kind.shape), np.float32)
        for i, picture in enumerate(pictures):
            out[i] = np.load(self._path(kind, picture.sha256))
        return out

    def write(self, kind: FeatureKind, picture: Keyed, features: Features) -> None:
        """Raises DiskFull."""
        buffer = BytesIO()
        np.save(buffer, features)
        with room_for("The feature store"):
            write_whole(self._path(kind, picture.sha256), buffer.getvalue())

    def _path(self, kind: FeatureKind, picture_sha256: str) -> Path:
        key = kind.key(picture_sha256)
        return self._root / key[:2] / f"{key}.npy"


def extract(
    trunk: TrunkRunner,
    kind: FeatureKind,
    pictures: Sequence[P],
    pixels: Callable[[P], npt.NDArray[np.uint8]],
) -> Iterator[list[tuple[P, Features]]]:
    """Run pictures through the trunk, a batch at a time, decoding the next ones on other threads meanwhile.

    `pixels` decodes one picture to uint8 (224, 224, 3). Each batch comes as pairs of picture and features.
    """
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="decode") as pool:
        decoded = _ahead(pool, pixels, pictures)
        for first in range(0, len(pictures), EXTRACTION_BATCH):
            batch = pictures[first : first + EXTRACTION_BATCH]
            numbers = network_input(np.stack(list(islice(decoded, len(batch)))), kind.input.preprocessing)
            features = trunk.run(numbers, INPUT, [kind.cut])[kind.cut]
            if kind.pooling is not None:
                features = np.asarray(pooled(features, kind.pooling))
            yield list(zip(batch, features, strict=True))


def _ahead(pool: ThreadPoolExecutor, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Results of `work` in order, with at most two batches of them computed and not yet taken."""
    waiting = iter(items)
    futures = [pool.submit(work, item) for item in islice(waiting, 2 * EXTRACTION_BATCH)]
    while futures:
        done = futures.pop(0).result()
        futures += [pool.submit(work, item) for item in islice(waiting, 1)]
        yield done


def _file_size(kind: FeatureKind) -> int:
    """Bytes of a whole feature file: one of another size was cut off, whatever its name says."""
    buffer = BytesIO()
    np.save(buffer, np.empty(kind.shape, np.float32))
    return buffer.tell()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
