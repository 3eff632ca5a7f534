"""JPEGs of 500x375 over HTTP at 1, 8 and 32 clients, against what the machine can do by itself.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.serving [--precision bfloat16] [--rounds 3] [--seconds 30]

`graft api` serves a graft on the real trunk. Raw is one compiled forward of the same trunk and head at its best batch
size (benchmarks/raw.py), in a process of its own; the two take turns, and a round of the service is held against the
raw figures around it. Claimed, at float32 and bfloat16:
- 8 and 32 clients: 0.95 of the pictures a second that the processor seconds of raw and of a bare Pillow decode allow;
- 1 client: a median of at most raw's at batch 1, plus the decode, plus 5 ms;
- 32 clients: a 95th percentile of at most 1.3 x the median.
"""

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks.grafts import AVG_64, opened, publish
from benchmarks.load import Load, closed_loop
from benchmarks.machine import Neighbours, assets, describe
from benchmarks.pictures import MEAN_SIZE, photos
from benchmarks.raw import Figures, Raw, median
from benchmarks.service import Server, graft_api
from benchmarks.wire import post
from graft.images import cores

CLIENTS = (1, 8, 32)
MODEL = "signs"
PATH = f"/api/v1/models/{MODEL}/predict"


@dataclass(frozen=True)
class Round:
    """raw: of before and after. processor: the service's seconds a picture; raw_processor: raw's, meanwhile."""

    raw: Figures
    loads: dict[int, Load]
    processor: dict[int, float]
    raw_processor: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=30, help="of each number of clients in a round")
    asked = arguments.parse_args()
    weights = assets() / "weights"
    print(f"{describe()}\n{asked.precision}, drawn JPEGs of {MEAN_SIZE[0]}x{MEAN_SIZE[1]}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with opened(home) as stores:
            publish(stores.registry, MODEL, AVG_64, precision=asked.precision)
        with Raw(home / "registry" / MODEL / "1", weights, asked.precision) as raw:
            if asked.precision not in raw.native:
                print(f"{asked.precision}: not native here, skipped (the service serves float32)")
                return
            settings = {"GRAFT_PRECISION": asked.precision, "GRAFT_PREDICT_TIMEOUT_SECONDS": "600"}
            with graft_api(home, weights, **settings) as server:
                neighbours = Neighbours()
                report(measured(raw, server, asked.rounds, asked.seconds))
                print(neighbours)


def measured(raw: Raw, server: Server, rounds: int, seconds: float) -> list[Round]:
    requests = cycle([post(PATH, picture) for picture in photos(64)])
    closed_loop(server.port, requests, 8, seconds / 3)  # loads the graft, and warms up
    found, before = [], raw.measure(seconds / 10)
    for _ in range(rounds):
        idle, loads, processor = raw.processor(), {}, {}
        for clients in CLIENTS:
            used = server.usage().processor
            loads[clients] = closed_loop(server.port, requests, clients, seconds)
            processor[clients] = (server.usage().processor - used) / len(loads[clients].answers)
        idle = raw.processor() - idle
        after = raw.measure(seconds / 10)
        found.append(Round(median([before, after]), loads, processor, idle))
        before = after
    return found


def report(rounds: list[Round]) -> None:
    raw = median([each.raw for each in rounds])
    by_batch = ", ".join(
        f"{batch}: {cost.wall * 1e3:.1f} ({cost.processor * 1e3:.0f})" for batch, cost in raw.forwards.items()
    )
    print(f"raw, ms a picture by batch size (of processor time): {by_batch}; bare decode {raw.decode.wall * 1e3:.1f}")
    print(
        f"the cores allow {cores() / raw.processor:.2f} pictures/s: {cores()} / ({raw.processor * 1e3:.1f} ms at batch "
        f"{raw.best}, decoded); raw's clock {1 / raw.forwards[raw.best].wall:.2f}"
    )
    for clients in CLIENTS:
        loads = [each.loads[clients] for each in rounds]
        print(
            f"{clients} clients: {statistics.median(load.rate for load in loads):.2f} pictures/s, median "
            f"{statistics.median(load.median for load in loads) * 1e3:.0f} ms, p95 "
            f"{statistics.median(load.p95 for load in loads) * 1e3:.0f} ms; "
            f"{statistics.median(each.processor[clients] for each in rounds) * 1e3:.0f} ms of processor time a picture"
        )
        print(f"  {verdict(clients, rounds)}")
    client = max(load.client for each in rounds for load in each.loads.values())
    print(
        f"the clients used at most {client:.1%} of a core; raw's process, while the service was measured, "
        f"{max(each.raw_processor for each in rounds):.2f} s"
    )


def verdict(clients: int, rounds: list[Round]) -> str:
    """What is claimed for so many clients, and what came out, as a median of the rounds."""
    if clients == 1:
        added = [each.loads[1].median - each.raw.forwards[1].wall - each.raw.decode.wall for each in rounds]
        return f"over raw at batch 1 and the decode: {spread(added, 1e3)} ms; wanted at most 5"
    allowed = [each.loads[clients].rate * each.raw.processor / cores() for each in rounds]
    clock = [each.loads[clients].rate * each.raw.forwards[each.raw.best].wall for each in rounds]
    text = f"of what the cores allow {spread(allowed)}; wanted 0.95; of raw's clock {spread(clock)}"
    if clients == CLIENTS[-1]:
        text += f"; p95 / median {spread([each.loads[clients].p95 / each.loads[clients].median for each in rounds])}"
        text += "; wanted at most 1.3"
    return text


def spread(values: list[float], scale: float = 1) -> str:
    return f"{statistics.median(values) * scale:.2f} ({min(values) * scale:.2f} to {max(values) * scale:.2f})"


if __name__ == "__main__":
    main()
