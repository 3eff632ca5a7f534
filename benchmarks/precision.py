"""What bfloat16 changes: the trunk's features on real pictures, and what trained grafts answer to them.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.precision [--per-class 40]

Trains three kinds of grafts at float32 on some of the sign-language digits' training pictures, and asks each about all
validation and test pictures, none of which it has seen, at both precisions. Printed: the error of the features relative
to their length, by cut; for each graft the accuracy at either precision, how many pictures get the same label, and how
sure float32 was of those that do not. On a processor without bfloat16 TensorFlow computes it slowly, and no other way.
"""

import argparse
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import assets, describe
from graft import images
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.training.sampling import Batches
from graft.training.step import TrainableGraft
from graft.types import Precision
from graft.vgg16.heads import Graft, by_parameter, initial_head, pooled
from graft.vgg16.inputs import network_input
from graft.vgg16.labels import probabilities
from graft.vgg16.layers import INPUT, tail_shapes
from graft.vgg16.trunk import TensorFlowTrunk
from graft.vgg16.weights import TrunkWeights, WeightStore

CUTS = ("block3_pool", "block4_pool", "block5_pool")
KEPT = CUTS[1:]  # those that grafts are cut at
BATCH = 8
PRECISIONS: tuple[Precision, Precision] = ("float32", "bfloat16")
# One input for all of them, so that the trunk runs once.
RECIPES: dict[str, dict[str, Any]] = {
    "flatten, 64, softmax": {"preset": "feature-extraction", "epochs": 30},
    "avg, softmax": {"pooling": "avg", "hidden_units": [], "learning_rate": 1e-3, "epochs": 40},
    "block 5, avg, softmax": {"preset": "fine-tuning", "preprocessing": "caffe", "epochs": 6},
}
Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Pictures:
    """Files, and the class of each, as an index."""

    files: Sequence[Path]
    labels: Labels


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--per-class", type=int, default=40, help="training pictures of each of the ten classes")
    asked = arguments.parse_args()
    print(describe(), flush=True)
    digits = assets() / "sign-language-digits"
    weights = WeightStore(digits, assets() / "weights", "").trunk()
    trunks = {precision: TensorFlowTrunk(weights, precision) for precision in PRECISIONS}
    train, held_out = pictures(digits, ["train"], asked.per_class), pictures(digits, ["valid", "test"], None)
    seen = features(trunks["float32"], train.files)
    unseen = compared(trunks, held_out.files)
    for name, words in RECIPES.items():
        recipe = RecipeRequest.parse(words).resolve()
        began = time.monotonic()
        trained = fitted(recipe, weights, seen[recipe.cut], train.labels)
        took = time.monotonic() - began
        answers = {
            precision: logits(recipe, trained, precision, unseen[precision][recipe.cut]) for precision in PRECISIONS
        }
        print(f"{name} ({len(train.files)} pictures, {took:.0f} s): {verdict(answers, held_out.labels)}", flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def pictures(digits: Path, splits: Iterable[str], per_class: int | None) -> Pictures:
    """The first so many of each class, or all."""
    files = [
        (file, int(folder.name))
        for split in splits
        for folder in sorted((digits / split).iterdir())
        for file in sorted(folder.iterdir())[:per_class]
    ]
    return Pictures([file for file, _ in files], np.array([label for _, label in files], np.int32))


def entering(files: Sequence[Path]) -> Features:
    return network_input(np.stack([images.decode(file.read_bytes()) for file in files]), "caffe")


def batches(files: Sequence[Path]) -> Iterable[Features]:
    return (entering(files[first : first + BATCH]) for first in range(0, len(files), BATCH))


def features(trunk: TensorFlowTrunk, files: Sequence[Path]) -> dict[str, Features]:
    outputs = [trunk.run(numbers, INPUT, KEPT) for numbers in batches(files)]
    return {cut: np.concatenate([output[cut] for output in outputs]) for cut in KEPT}


def compared(
    trunks: Mapping[Precision, TensorFlowTrunk], files: Sequence[Path]
) -> dict[Precision, dict[str, Features]]:
    """Features of the pictures at each precision and cut in KEPT; the errors at all cuts are printed."""
    kept: dict[Precision, dict[str, list[Features]]] = {p: {cut: [] for cut in KEPT} for p in trunks}
    errors: dict[str, list[float]] = {cut: [] for cut in CUTS}
    seconds = dict.fromkeys(trunks, 0.0)
    for numbers in batches(files):
        outputs = {}
        for precision, trunk in trunks.items():
            began = time.perf_counter()
            outputs[precision] = trunk.run(numbers, INPUT, CUTS)
            seconds[precision] += time.perf_counter() - began
            for cut in KEPT:
                kept[precision][cut].append(outputs[precision][cut])
        for cut in CUTS:
            errors[cut] += apart(outputs["bfloat16"][cut], outputs["float32"][cut])
    rates = ", ".join(f"{each / len(files) * 1000:.0f} ms at {precision}" for precision, each in seconds.items())
    print(f"{len(files)} pictures; the trunk took {rates}")
    for cut, found in errors.items():
        print(f"{cut}: relative error {np.mean(found):.4f} in the mean, {max(found):.4f} at most", flush=True)
    return {p: {cut: np.concatenate(parts) for cut, parts in by_cut.items()} for p, by_cut in kept.items()}


def apart(ours: Features, theirs: Features) -> list[float]:
    """Each picture's error, relative to the length of what it should be."""
    error, whole = (np.linalg.norm(x.reshape(len(x), -1), axis=1) for x in (ours - theirs, theirs))
    return list(error / whole)


def fitted(recipe: Recipe, trunk: TrunkWeights, seen: Features, labels: Labels) -> dict[str, npt.NDArray[Any]]:
    tail = {name: array for name, array in by_parameter(trunk).items() if name in tail_shapes(recipe.cut)}
    spec = recipe.head(10)
    if recipe.feature_pooling is not None:
        seen = np.asarray(pooled(seen, recipe.feature_pooling))
    graft = TrainableGraft(recipe, spec, {**tail, **initial_head(spec, recipe.seed)})
    draws = Batches(len(labels), recipe.batch_size, recipe.steps_per_epoch, recipe.seed, stream=0)
    for epoch in range(recipe.epochs):
        for step in range(draws.steps):
            batch = draws.batch(epoch, step)
            graft.step(seen[batch], labels[batch], epoch * draws.steps + step)
    return graft.weights()


def logits(recipe: Recipe, weights: Mapping[str, Any], precision: Precision, unseen: Features) -> Features:
    graft = Graft(recipe.cut, recipe.head(10), weights, precision)
    return np.concatenate([graft.answer(unseen[i : i + BATCH], "CPU:0") for i in range(0, len(unseen), BATCH)])


def verdict(answers: Mapping[Precision, Features], labels: Labels) -> str:
    exact, rounded = answers["float32"], answers["bfloat16"]
    same = exact.argmax(1) == rounded.argmax(1)
    accuracy = {precision: np.mean(each.argmax(1) == labels) for precision, each in answers.items()}
    first, second = np.sort(probabilities(exact), axis=1)[:, :-3:-1].T
    margins = ", ".join(f"{margin:.3f}" for margin in sorted((first - second)[~same])) or "none"
    return (
        f"accuracy {accuracy['float32']:.4f} at float32, {accuracy['bfloat16']:.4f} at bfloat16; the same label for "
        f"{same.sum()} of {len(same)} (float32's lead where not: {margins}); logits {max(apart(rounded, exact)):.4f} "
        "apart at most"
    )


if __name__ == "__main__":
    main()
