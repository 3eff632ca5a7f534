"""The pass that fills the feature store, against the bare trunk on pictures that lie in memory.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.extraction [--pictures 200 5000] [--precision bfloat16]
        [--cuts block4_pool]

Every picture is a drawn JPEG of 500x375, read, decoded, sent through the trunk once, and written at every one of the
cuts. Claimed: at most 1.05 of the bare trunk's time, of which a stretch is timed before and one after; anonymous memory
at most 32 MB more with the largest number of pictures than with the smallest. Processor time is printed too: on a
machine that others use, it is the fairer figure.
"""

import argparse
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.feature_store import CLAIMED, anonymous
from benchmarks.machine import MB, Neighbours, assets, describe
from benchmarks.pictures import photos
from graft import images
from graft.training.features import FeatureKind, FeatureStore, fill
from graft.types import InputKey, Progress
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weights import TRUNK_DIGEST, WeightStore

BATCH = 8
FILES = 64  # that are different; the store takes every picture for one of its own
STRETCH = 96  # pictures through the bare trunk, each time
WANTED = 1.05


@dataclass(frozen=True)
class Picture:
    file: Path
    sha256: str


class Watch:
    """A monitor that looks at this process's memory whenever it is told of progress."""

    def __init__(self) -> None:
        self.memory = anonymous()

    def report(self, progress: Progress) -> None:  # noqa: ARG002
        self.memory = max(self.memory, anonymous())

    def event(self, type: str, data: Mapping[str, Any]) -> None:
        pass

    def guard(self) -> None:
        pass

    def stop_requested(self) -> bool:
        return False


@dataclass(frozen=True)
class Cost:
    """Milliseconds a picture: by the clock, and of all cores together."""

    wall: float
    processor: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--pictures", type=int, nargs="+", default=[200, 5000])
    arguments.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    arguments.add_argument("--cuts", nargs="+", default=["block4_pool"])
    asked = arguments.parse_args()
    print(f"{describe()}\n{asked.precision}, {', '.join(asked.cuts)}, drawn JPEGs of 500x375", flush=True)
    trunk = TensorFlowTrunk(WeightStore(Path(), assets() / "weights", "").trunk(), asked.precision)
    kinds = [
        FeatureKind(InputKey("bilinear", precision=asked.precision), TRUNK_DIGEST, cut, None) for cut in asked.cuts
    ]
    memory = {}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.jpg" for i in range(FILES)]
        for file, photo in zip(files, photos(FILES), strict=True):
            file.write_bytes(photo)
        batch = network_input(np.stack([pixels(file) for file in files[:BATCH]]), "caffe")

        def bare() -> None:
            for _ in range(STRETCH // BATCH):
                trunk.run(batch, INPUT, asked.cuts)

        bare()  # compiled, and warm
        for count in sorted(asked.pictures):
            pictures = [Picture(files[i % FILES], hashlib.sha256(str(i).encode()).hexdigest()) for i in range(count)]
            root, watch, neighbours = Path(folder) / "features", Watch(), Neighbours()
            before = cost(bare, STRETCH)
            ours = cost(partial(keep, root, kinds, pictures, trunk, watch), count)
            after = cost(bare, STRETCH)
            shutil.rmtree(root)
            memory[count] = watch.memory
            wall, processor = (before.wall + after.wall) / 2, (before.processor + after.processor) / 2
            print(
                f"{count:,} pictures: {ours.wall:.1f} ms each, bare {before.wall:.1f} and {after.wall:.1f}: ratio "
                f"{ours.wall / wall:.2f}, of processor time {ours.processor / processor:.2f}; wanted at most {WANTED}; "
                f"anonymous memory at most {watch.memory / MB:.0f} MB; {neighbours}",
                flush=True,
            )
    grown = memory[max(memory)] - memory[min(memory)]
    print(
        f"anonymous memory, {max(memory):,} pictures against {min(memory):,}: {grown / MB:+.1f} MB; "
        f"wanted at most +{CLAIMED / MB:.0f}"
    )


def pixels(file: Path) -> np.ndarray:
    return images.decode(file.read_bytes(), interpolation="bilinear")


def keep(root: Path, kinds: list[FeatureKind], pictures: list[Picture], trunk: TensorFlowTrunk, watch: Watch) -> None:
    room = 2 * len(pictures) * sum(kind.row_bytes for kind in kinds)
    fill(FeatureStore(root, room), kinds, pictures, lambda p: pixels(p.file), lambda: trunk, watch).close()


def cost(work: Callable[[], None], pictures: int) -> Cost:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    seconds = time.perf_counter() - wall, time.process_time() - processor
    return Cost(*(1e3 * each / pictures for each in seconds))


if __name__ == "__main__":
    main()
