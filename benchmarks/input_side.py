"""Does a training wait for its input? The steps of a whole training against the same steps on rows in memory.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.input_side [--pictures 256] [--epochs 6]

Block 5 and a softmax on the real weights' features at block4_pool, at each precision that this machine has natively:
`fit` with its feature store, the reading ahead, checkpoints and reports; and after each of its epochs as many calls of
the same compiled step on batches that lie ready. Wanted: at most 1.1 times the time of a step.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import assets, describe
from graft.training.checkpoint import Checkpoints
from graft.training.features import FeatureKind, FeatureStore, fill
from graft.training.fit import fit
from graft.training.presets import RecipeRequest
from graft.training.splits import SplitFeatures
from graft.training.step import TrainableGraft
from graft.types import Precision, Progress
from graft.vgg16.devices import native_precisions
from graft.vgg16.heads import by_parameter, initial_head
from graft.vgg16.layers import tail_shapes
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weights import TRUNK_DIGEST, TrunkWeights, WeightStore
from tests.monitors import Recorder

CLASSES = tuple("0123456789")
WANTED = 1.1
Seconds = npt.NDArray[np.float64]  # by the clock, and of all threads on a processor


@dataclass(frozen=True)
class Picture:
    """Noise, drawn from its number."""

    number: int

    @property
    def sha256(self) -> str:
        return f"{self.number:064x}"

    def pixels(self) -> npt.NDArray[np.uint8]:
        return np.random.default_rng(self.number).integers(0, 256, (224, 224, 3), np.uint8)


def now() -> Seconds:
    return np.array([time.perf_counter(), time.process_time()])


class Stopwatch(Recorder):
    """Times the steps that it is told of, and runs the same ones on `batches` whenever an epoch has ended."""

    def __init__(self, graft: TrainableGraft, batches: list[tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__()
        self._graft, self._batches = graft, batches
        self.whole: list[Seconds] = []
        self.alone: list[Seconds] = []
        self._last: Seconds = now()

    def report(self, progress: Progress) -> None:
        if progress.step != 1:
            self.whole.append(now() - self._last)
        self._last = now()

    def event(self, type: str, _data: Mapping[str, Any]) -> None:
        if type == "epoch":
            for number, (features, labels) in enumerate(self._batches):
                began = now()
                self._graft.step(features, labels, number)
                self.alone.append(now() - began)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--pictures", type=int, default=256)
    arguments.add_argument("--epochs", type=int, default=6)
    asked = arguments.parse_args()
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        weights = WeightStore(Path(folder), assets() / "weights", "").trunk()
        for precision in native_precisions():
            measure(Path(folder) / precision, weights, precision, asked.pictures, asked.epochs)


def measure(folder: Path, weights: TrunkWeights, precision: Precision, pictures: int, epochs: int) -> None:
    words = {"preset": "fine-tuning", "batch_size": 32, "steps_per_epoch": None, "epochs": epochs, "keep": "last"}
    recipe = RecipeRequest.parse({**words, "precision": precision}).resolve()
    spec, kind = recipe.head(len(CLASSES)), FeatureKind(recipe.input_key, TRUNK_DIGEST, recipe.cut, None)
    tail = {name: array for name, array in by_parameter(weights).items() if name in tail_shapes(recipe.cut)}
    graft = TrainableGraft(recipe, spec, {**tail, **initial_head(spec, recipe.seed)})
    labels = np.random.default_rng(0).integers(0, len(CLASSES), pictures).astype(np.int32)

    def trunk() -> TensorFlowTrunk:
        return TensorFlowTrunk(weights, precision)

    shown = [Picture(number) for number in range(pictures)]
    with fill(FeatureStore(folder / "features"), [kind], shown, Picture.pixels, trunk, Recorder()) as extracted:
        training = SplitFeatures(CLASSES, labels, lambda indices, _epoch: extracted.rows(kind, indices))
        none = SplitFeatures(CLASSES, labels[:0], training.features)
        places = [np.arange(first, first + recipe.batch_size) for first in range(0, pictures, recipe.batch_size)]
        watch = Stopwatch(graft, [(training.features(place, 0), labels[place]) for place in places])
        fit(recipe, graft, training, none, Checkpoints(folder / "checkpoints", 1), watch)
    whole, alone = np.median(watch.whole, axis=0), np.median(watch.alone, axis=0)
    clock, processor = whole / alone
    print(
        f"{precision}: a step of {recipe.batch_size} takes {whole[0] * 1000:.0f} ms in training (the median of "
        f"{len(watch.whole)}), {alone[0] * 1000:.0f} ms alone, {alone[0] / recipe.batch_size * 1000:.1f} a picture: "
        f"{clock:.3f} by the clock, {processor:.3f} by processor time (wanted: {WANTED} at most)",
        flush=True,
    )


if __name__ == "__main__":
    main()
