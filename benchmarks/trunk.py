"""What each way to run the trunk costs, against the way that serves: constants, oneDNN, one function, all cores.

    python -m benchmarks.trunk [--rounds 3] [--seconds 3] [--sizes 1 2 4 8 16 32]

Every way runs in a process of its own, and the ways take turns, so that what else the machine does slows all of them.
Random weights: the time does not depend on them. Printed for each: milliseconds a picture by the clock and of the
processor, and the median over the rounds of its ratios to the first way.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from benchmarks.machine import describe
from graft.types import Precision
from graft.vgg16.layers import INPUT, LAST, LAYERS, between, feature_shape
from tests.e2e.service import outside

BATCH = 4
RUNS = 3  # of each batch size, at least


@dataclass(frozen=True)
class Way:
    """environment: what TensorFlow reads; threads: of one operation, 0 for all cores."""

    text: str
    precision: Precision = "float32"
    environment: Mapping[str, str] = field(default_factory=dict)
    threads: int = 0
    variables: bool = False
    layer_by_layer: bool = False


WAYS = {
    "served": Way("as served: float32"),
    "variables": Way("weights as variables", variables=True),
    "no-onednn": Way("without oneDNN", environment={"TF_ENABLE_ONEDNN_OPTS": "0"}),
    "frozen": Way("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", environment={"TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1"}),
    "one-thread": Way("one thread an operation", threads=1),
    "layers": Way("a function for each layer", layer_by_layer=True),
    "bfloat16": Way("bfloat16", "bfloat16"),
}
Costs = dict[int, tuple[float, float]]  # by batch size: milliseconds a picture, by the clock and of the processor


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    arguments.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.way:
        print(json.dumps(measured(WAYS[asked.way], asked.sizes, asked.seconds)))
        return
    print(describe(), flush=True)
    rounds = [{way: in_a_process(way, [BATCH], asked.seconds)[BATCH] for way in WAYS} for _ in range(asked.rounds)]
    print(f"Batches of {BATCH}:")
    for way in WAYS:
        print(line(WAYS[way].text, [each[way] for each in rounds], [each["served"] for each in rounds]))
    sizes = [in_a_process("served", asked.sizes, asked.seconds) for _ in range(asked.rounds)]
    print("As served, by the size of the batch:")
    for size in asked.sizes:
        print(line(str(size), [each[size] for each in sizes], [each[asked.sizes[0]] for each in sizes]))
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def line(text: str, costs: Sequence[tuple[float, float]], base: Sequence[tuple[float, float]]) -> str:
    clock, processor = (statistics.median(values) for values in zip(*costs, strict=True))
    pairs = list(zip(costs, base, strict=True))
    by_clock, by_processor = (statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))
    return f"{text:32} {clock:6.0f} ms, {processor:6.0f} ms of the processor; {by_clock:.2f} and {by_processor:.2f} x"


def in_a_process(way: str, sizes: Sequence[int], seconds: float) -> Costs:
    command = [sys.executable, "-m", "benchmarks.trunk", "--way", way, "--seconds", str(seconds)]
    command += ["--sizes", *map(str, sizes)]
    done = subprocess.run(command, env=outside(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return {int(size): (clock, processor) for size, (clock, processor) in json.loads(done.stdout).items()}


def measured(way: Way, sizes: Sequence[int], seconds: float) -> Costs:
    run = runner(way)
    rng = np.random.default_rng(0)
    costs = {}
    for size in sizes:
        pictures = rng.normal(0, 60, (size, *feature_shape(INPUT))).astype(np.float32)
        run(pictures)  # this size's kernels are chosen, its memory is taken
        costs[size] = cost(partial(run, pictures), size, seconds)
    return costs


def cost(run: Callable[[], object], pictures: int, seconds: float) -> tuple[float, float]:
    clock: list[float] = []
    processor = time.process_time()
    while len(clock) < RUNS or sum(clock) < seconds:
        began = time.perf_counter()
        run()
        clock.append(time.perf_counter() - began)
    share = 1000 / pictures
    return statistics.median(clock) * share, (time.process_time() - processor) / len(clock) * share


def runner(way: Way) -> Callable[[np.ndarray], Any]:
    """Pictures -> the trunk's last output. In the process of that way alone: TensorFlow reads its environment once."""
    os.environ.update(way.environment)  # over what graft.vgg16 has set
    import tensorflow as tf

    from graft.vgg16.trunk import TensorFlowTrunk, forward
    from tests.networks import random_trunk

    if way.threads:
        tf.config.threading.set_intra_op_parallelism_threads(way.threads)
    if way.variables:
        variables = {name: tuple(map(tf.Variable, pair)) for name, pair in random_trunk().items()}
        signature = [tf.TensorSpec((None, *feature_shape(INPUT)), tf.float32)]
        function = tf.function(
            lambda x: forward(x, between(INPUT, LAST), variables), input_signature=signature, autograph=False
        ).get_concrete_function()
        return lambda pictures: np.asarray(function(tf.constant(pictures)))
    trunk = TensorFlowTrunk(random_trunk(), way.precision)
    if way.layer_by_layer:  # every cut comes into use, and splits the functions for good
        trunk.run(np.zeros((1, *feature_shape(INPUT)), np.float32), INPUT, [layer.name for layer in LAYERS[1:]])
    return lambda pictures: trunk.run(pictures, INPUT, [LAST])[LAST]


if __name__ == "__main__":
    main()
