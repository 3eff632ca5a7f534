"""A thousand grafts behind one trunk: what they cost in throughput, in memory, and the first caller.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.many_models [--models 1000] [--rounds 3] [--seconds 30]

Publishes grafts of random weights in three kinds (flatten and 64 units; avg and softmax; avg and 64 units) in a
temporary home: 2.2 GB for a thousand. Claimed, over HTTP:
- first answer of a cold graft: at most 50 ms over that of a warm one;
- memory of the service's process: at most the weights' bytes + 50 KB a graft;
- all of them asked uniformly at random by 32 clients: 0.9 of the throughput of one;
- one picture asked of 32 models in one request costs little more than asked of one.
Then through the engine itself, without HTTP: the throughput again, and that of 20 grafts with a tail of their own (cut
`block4_pool`) against one that is frozen whole.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.grafts import AVG_64, AVG_SOFTMAX, BLOCK_5, FLATTEN_64, opened, publish
from benchmarks.load import ask, closed_loop, percentile
from benchmarks.machine import MB, Neighbours, assets, describe
from benchmarks.pictures import photos
from benchmarks.service import Server, graft_api
from benchmarks.wire import post
from graft.registry import Registry

KINDS = (FLATTEN_64, AVG_SOFTMAX, AVG_64)
CHEAPEST = KINDS.index(AVG_SOFTMAX)  # what one model is of that the others are held against
TAILS = [f"tail{i}" for i in range(20)]
CLIENTS = 32
TOGETHER = 32  # models in one request, at most
COLD = 30  # first answers that are timed, of each kind
ROOM = 8_000_000_000  # bytes of memory for grafts: more than they need
TIMEOUT = 600  # seconds: nothing shall be refused


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--models", type=int, default=1000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=30, help="of each measurement in a round")
    asked = arguments.parse_args()
    weights, models = assets() / "weights", [f"m{i}" for i in range(asked.models)]
    with tempfile.TemporaryDirectory() as folder:
        print(f"{describe()}\nfloat32, drawn JPEGs of 500x375; {asked.models} grafts", flush=True)
        home = Path(folder)
        with opened(home) as stores:
            publish_all(stores.registry, home, models)
        settings = {"GRAFT_MODELS_MEMORY_BYTES": str(ROOM), "GRAFT_PREDICT_TIMEOUT_SECONDS": str(TIMEOUT)}
        with graft_api(home, weights, GRAFT_PRECISION="float32", **settings) as server:
            neighbours = Neighbours()
            over_http(server, models, asked.rounds, asked.seconds)
            print(neighbours, flush=True)
        asyncio.run(through_the_engine(home, weights, models, asked.rounds, asked.seconds))


def publish_all(registry: Registry, home: Path, models: Sequence[str]) -> None:
    """The models, of one kind after the other, and those with a tail."""
    needed = 1.2 * (bytes_of(range(len(models))) + len(TAILS) * BLOCK_5.nbytes)
    if shutil.disk_usage(home).free < needed:
        sys.exit(f"{home} must have {needed / 1e9:.1f} GB free; set TMPDIR to a folder on another disk.")
    for i, model in enumerate(models):
        publish(registry, model, KINDS[i % len(KINDS)], seed=i)
    for i, model in enumerate(TAILS):
        publish(registry, model, BLOCK_5, seed=i)


def bytes_of(models: Sequence[int]) -> int:
    """Of the weights of the models with these numbers."""
    return sum(KINDS[i % len(KINDS)].nbytes for i in models)


def over_http(server: Server, models: Sequence[str], rounds: int, seconds: float) -> None:
    photo, pictures, warm = photos(1)[0], cycle(photos(32)), len(KINDS)
    closed_loop(server.port, requests(models[:warm], pictures), CLIENTS, seconds / 3)
    before = server.usage().memory
    first_answers(server, models, photo)
    for begin in range(0, len(models), TOGETHER):  # loads the rest
        ask(server.port, together(models[begin : begin + TOGETHER], photo))
    grown, weights = server.usage().memory - before, bytes_of(range(warm, len(models)))
    print(
        f"memory: {grown / MB:,.0f} MB more for {weights / MB:,.0f} MB of weights (malloc_trim not called): "
        f"{(grown - weights) / (len(models) - warm) / 1e3:+.0f} KB a graft; wanted at most +50",
        flush=True,
    )

    def rate(asked: Sequence[str]) -> float:
        return closed_loop(server.port, requests(asked, pictures), CLIENTS, seconds).rate

    pairs = [(rate([models[CHEAPEST]]), rate(models)) for _ in range(rounds)]
    print(f"over HTTP, {len(models)} asked at random against one: {compared(pairs)}; wanted 0.9")
    one, all_ = (together(asked, photo) for asked in ([models[CHEAPEST]], models[:TOGETHER]))
    costs = [ask(server.port, all_).seconds / ask(server.port, one).seconds for _ in range(3 * rounds)]
    print(f"one picture asked of {TOGETHER} models at once costs {statistics.median(costs):.2f} of one model's")


def first_answers(server: Server, models: Sequence[str], photo: bytes) -> None:
    """Of models that nobody has asked, each against a warm one of its kind just before. The first of a kind is warm."""

    def seconds(model: str) -> float:
        return ask(server.port, post(f"/api/v1/models/{model}/predict", photo)).seconds

    for i, kind in enumerate(KINDS):
        warm, *cold = models[i :: len(KINDS)][: COLD + 1]
        over = [-seconds(warm) + seconds(model) for model in cold]
        print(
            f"first answer of a cold graft ({kind.name}) over a warm one's: median {statistics.median(over) * 1e3:.0f} "
            f"ms, p95 {percentile(over, 0.95) * 1e3:.0f} ms of {len(over)}, its files in the system's cache; wanted 50",
            flush=True,
        )


def requests(models: Sequence[str], pictures: Iterator[bytes]) -> Iterator[bytes]:
    """Each asks one of them, drawn uniformly."""
    rng = np.random.default_rng(0)
    for picture in pictures:
        yield post(f"/api/v1/models/{models[int(rng.integers(len(models)))]}/predict", picture)


def together(models: Sequence[str], photo: bytes) -> bytes:
    return post(f"/api/v1/predict?models={','.join(models)}", photo)


async def through_the_engine(home: Path, weights: Path, models: Sequence[str], rounds: int, seconds: float) -> None:
    from graft.engine.predictor import Predictor  # TensorFlow: not beside the service that was measured

    files = [(None, photo) for photo in photos(32)]
    with opened(home, weights) as stores:
        predictor = Predictor(
            stores.registry,
            stores.weights,
            memory_bytes=ROOM,
            max_pixels=10**8,
            timeout=TIMEOUT,
            precision="float32",
        )
        predictor.start()

        async def rate(asked: Sequence[str]) -> float:
            """Answers a second to so many clients."""
            rng, answered, until = np.random.default_rng(0), 0, time.monotonic() + seconds

            async def client() -> None:
                nonlocal answered
                while time.monotonic() < until:
                    await predictor.predict(asked[int(rng.integers(len(asked)))], [files[answered % len(files)]])
                    answered += 1

            began = time.monotonic()
            await asyncio.gather(*(client() for _ in range(CLIENTS)))
            return answered / (time.monotonic() - began)

        for begin in range(0, len(models), TOGETHER):
            await predictor.predict_many([*models[begin : begin + TOGETHER], *TAILS], files[:1])
        for name, asked in ((f"{len(models)} asked at random", models), (f"{len(TAILS)} with tails", TAILS)):
            pairs = [(await rate([models[CHEAPEST]]), await rate(asked)) for _ in range(rounds)]
            print(f"through the engine, {name} against one: {compared(pairs)}", flush=True)
        predictor.close()


def compared(pairs: Sequence[tuple[float, float]]) -> str:
    """The rates of one and of many, taken in turns, and their ratio round by round."""
    ratios = [many / one for one, many in pairs]
    rates = [statistics.median(rates) for rates in zip(*pairs, strict=True)]
    return (
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {rates[1]:.2f} and "
        f"{rates[0]:.2f} pictures/s"
    )


if __name__ == "__main__":
    main()
