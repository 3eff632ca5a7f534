"""Hours of work in minutes: no error, and nothing that piles up.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.soak [--real 3000] [--tiny 200000]

First 3,000 real predictions over HTTP, at 8 clients, of three models. Then 200,000 through the engine itself on a trunk
that computes next to nothing: 50 models with room in memory for 8, of which now these, now those are asked most, and a
new version of one of them every 200 predictions, so that versions are loaded, swapped and let go all the time; every
answer is checked to be of one version. Claimed: no error; after warm-up threads and descriptors stay as they are, and
memory grows by less than 100 MB.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.grafts import AVG_64, AVG_SOFTMAX, FLATTEN_64, opened, publish
from benchmarks.load import closed_loop
from benchmarks.machine import MB, Neighbours, Usage, assets, describe, usage
from benchmarks.pictures import photos
from benchmarks.service import graft_api
from benchmarks.wire import post
from graft.engine.answers import Prediction
from graft.registry import Registry
from graft.stores import Stores
from tests.drawing import jpeg

WARM_UP = 0.2  # share of the work, after which nothing may grow
LOOKS = 50  # at what the process holds, over the whole of the work
MODELS = [f"m{i}" for i in range(50)]
ROOM = 8  # of them in memory
FAVOURITES, STRAY = 6, 0.05  # models that are asked most at a time, and the share of questions that go to any of all
EVERY = 200  # predictions: a new version
CLIENTS = 32
CLOSING = 0.5  # seconds that the service has to close what the clients have closed
JUST_NOW = 4  # files that are being read, at a look


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--real", type=int, default=3000)
    arguments.add_argument("--tiny", type=int, default=200_000)
    asked = arguments.parse_args()
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        good = report(f"{asked.real:,} over HTTP", real(Path(folder) / "real", asked.real))
        with opened(Path(folder) / "tiny") as stores:
            good &= report(f"{asked.tiny:,} on a tiny trunk", asyncio.run(tiny(stores, asked.tiny)))
    if not good:
        sys.exit("something piles up")


def report(what: str, looks: Sequence[Usage]) -> bool:
    """Whether nothing piled up, by what a process held each time that it was looked at after its warm-up."""
    growth = max(look.memory for look in looks) - looks[0].memory
    threads, descriptors = halves([look.threads for look in looks]), halves([look.descriptors for look in looks])
    print(
        f"{what}: no error; after warm-up, first and second half: threads {threads[0]:g} and {threads[1]:g}, "
        f"descriptors {descriptors[0]:g} and {descriptors[1]:g}; memory {looks[0].memory / MB:,.0f} MB, grew by "
        f"{growth / MB:.0f} MB at most; wanted under 100",
        flush=True,
    )
    return growth < 100 * MB and all(second <= first + JUST_NOW for first, second in (threads, descriptors))


def halves(values: Sequence[int]) -> tuple[float, float]:
    """The medians of the first and of the second half."""
    middle = len(values) // 2
    return statistics.median(values[:middle]), statistics.median(values[middle:])


def real(home: Path, predictions: int) -> list[Usage]:
    kinds = {"flatten-64": FLATTEN_64, "avg-softmax": AVG_SOFTMAX, "avg-64": AVG_64}
    with opened(home) as stores:
        for model, kind in kinds.items():
            publish(stores.registry, model, kind)
    asked = [post(f"/api/v1/models/{model}/predict", photo) for model in kinds for photo in photos(32)]
    requests = cycle(asked[i * 37 % len(asked)] for i in range(len(asked)))  # 37: models and pictures mixed
    with graft_api(home, assets() / "weights", GRAFT_PREDICT_TIMEOUT_SECONDS="600") as server:
        neighbours, answered, looks = Neighbours(), 0, []
        while answered < predictions:
            answered += len(closed_loop(server.port, requests, 8, 5).answers)
            time.sleep(CLOSING)
            if answered >= WARM_UP * predictions:
                looks.append(server.usage())
        print(neighbours)
    return looks


async def tiny(stores: Stores, predictions: int) -> list[Usage]:
    """What this process held, time and again after the warm-up. Raises RuntimeError for an answer of two versions."""
    from graft.engine.predictor import Predictor  # TensorFlow: not beside the service that was measured
    from tests.trunks import TinyTrunk

    newest = dict.fromkeys(MODELS, 0)
    for model in MODELS:
        swap(stores.registry, newest, model)
    predictor = Predictor(
        stores.registry,
        stores.weights,
        memory_bytes=ROOM * AVG_SOFTMAX.nbytes,
        max_pixels=10**6,
        timeout=60,
        precision="float32",
        trunk=TinyTrunk,
    )
    predictor.start()
    rng, begun, looks = np.random.default_rng(0), 0, []

    async def client(picture: bytes) -> None:
        nonlocal begun
        while begun < predictions:
            number = begun = begun + 1
            model = pick(rng, number)
            if number % EVERY == 0:
                await asyncio.to_thread(swap, stores.registry, newest, model)
            check(await predictor.predict(model, [(None, picture)], top=1))
            if number % max(predictions // LOOKS, 1) == 0 and number >= WARM_UP * predictions:
                looks.append(usage())

    async with asyncio.TaskGroup() as group:
        for i in range(CLIENTS):
            group.create_task(client(jpeg("discs", i)))
    predictor.close()
    return [*looks, usage()]


def pick(rng: np.random.Generator, number: int) -> str:
    """One of a few favourites, which change a little every thousand questions; now and then any."""
    if rng.random() < STRAY:
        return MODELS[int(rng.integers(len(MODELS)))]
    return MODELS[(number // 1000 + int(rng.integers(FAVOURITES))) % len(MODELS)]


def swap(registry: Registry, newest: dict[str, int], model: str) -> None:
    """Publish the model's next version, whose likeliest class tells its number; the last but one goes."""
    newest[model] += 1
    version = newest[model]
    weights = {name: np.zeros_like(array) for name, array in AVG_SOFTMAX.weights(0).items()}
    weights["predictions/bias"][version % AVG_SOFTMAX.head.classes] = 10
    publish(registry, model, AVG_SOFTMAX, version, weights=weights)
    if version > 2:
        registry.delete(model, version - 2)


def check(prediction: Prediction) -> None:
    """Labels, weights and number are of one version. Raises RuntimeError."""
    top = prediction.entries[0].top[0]
    index = prediction.version % AVG_SOFTMAX.head.classes
    if (top.label, top.index) != (f"v{prediction.version}-{index}", index):
        raise RuntimeError(f"version {prediction.version} must answer class {index}; received {prediction}")


if __name__ == "__main__":
    main()
