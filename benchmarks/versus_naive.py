"""Graft against a plain FastAPI endpoint that calls Keras (benchmarks/naive.py): throughput, and memory of ten models.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.versus_naive [--rounds 3] [--seconds 30] [--models 10]

Both run on this machine at the same time and are asked in turns, by 8 and by 32 clients, with the same forms of the
same drawn JPEGs, for VGG16 with an average and a softmax. The plain one answers by `model.predict`, as tutorials have
it, and by `model(x, training=False)`; its TensorFlow is as the environment has it: TF_ENABLE_ONEDNN_OPTS=1 before the
command gives it what Graft sets for itself. Memory: resident, when each model has answered once, and after all.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path

from benchmarks.grafts import AVG_SOFTMAX, opened, publish
from benchmarks.load import ask, closed_loop
from benchmarks.machine import MB, Neighbours, assets, describe
from benchmarks.pictures import photos
from benchmarks.service import Server, graft_api, uvicorn
from benchmarks.wire import form
from graft.vgg16.sources import TRUNK_FILE

CLIENTS = (8, 32)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=30, help="of each measurement in a round")
    arguments.add_argument("--models", type=int, default=10)
    asked = arguments.parse_args()
    weights = assets() / "weights"
    print(f"{describe()}\nfloat32, drawn JPEGs of 500x375 in forms; {asked.models} models each way", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with opened(home) as stores:
            for i in range(asked.models):
                publish(stores.registry, f"m{i}", AVG_SOFTMAX, seed=i)
        plain = {"NAIVE_WEIGHTS": str(weights / TRUNK_FILE), "NAIVE_MODELS": str(asked.models)}
        patient = {"GRAFT_PRECISION": "float32", "GRAFT_PREDICT_TIMEOUT_SECONDS": "600"}
        with (
            uvicorn("benchmarks.naive:create_app", home / "naive.log", "/docs", **plain) as naive,
            graft_api(home, weights, **patient) as graft,
        ):
            neighbours = Neighbours()
            compare(graft, naive, asked.models, asked.rounds, asked.seconds)
            print(neighbours)


def compare(graft: Server, naive: Server, models: int, rounds: int, seconds: float) -> None:
    asked: Mapping[str, tuple[Server, Callable[[int], str]]] = {
        "Graft": (graft, "/api/v1/models/m{}/predict".format),
        "model.predict": (naive, "/m{}/predict".format),
        "model(x)": (naive, "/m{}/call".format),
    }
    pictures = photos(32)
    for server, path in asked.values():
        for i in range(models):
            ask(server.port, form(path(i), pictures[0]))
    say_memory("when each of them has answered once", graft, naive, models)
    for clients in CLIENTS:
        rates: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(rounds):
            for name, (server, path) in asked.items():
                requests = cycle([form(path(0), picture) for picture in pictures])
                rates[name].append(closed_loop(server.port, requests, clients, seconds).rate)
        say_rates(clients, rates)
    say_memory("after that", graft, naive, models)


def say_rates(clients: int, rates: Mapping[str, Sequence[float]]) -> None:
    middle = ", ".join(f"{name} {statistics.median(each):.2f}" for name, each in rates.items())
    ours, *theirs = rates
    ratios = ", ".join(
        f"{statistics.median(a / b for a, b in zip(rates[ours], rates[name], strict=True)):.2f} of {name}"
        for name in theirs
    )
    print(f"{clients} clients, pictures/s: {middle}; {ours} has {ratios}", flush=True)


def say_memory(when: str, graft: Server, naive: Server, models: int) -> None:
    ours, theirs = graft.usage().memory / MB, naive.usage().memory / MB
    print(
        f"memory with {models} models, {when}: {ours:,.0f} MB against {theirs:,.0f} MB, {theirs / ours:.1f} times",
        flush=True,
    )


if __name__ == "__main__":
    main()
