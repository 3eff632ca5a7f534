"""Five times as many requests as the service can answer: what is promised is kept, and the rest is told so at once.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.overload [--seconds 60] [--timeout 3] [--times 5]

First the capacity, with 32 clients that ask when they are answered; then new clients at five times that rate, each on
its own connection, whether or not the others are answered. Each gives the service so many seconds (X-Request-Timeout);
one in five hangs up within the first. /health/live is asked 1,000 times meanwhile. Claimed: every 200 comes within its
deadline, everything else is a 503 with Retry-After, at once; probes' p99 under 100 ms; memory grows by less than 10 %.
"""

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.grafts import AVG_SOFTMAX, opened, publish
from benchmarks.load import OK, Probes, closed_loop, open_loop, percentile
from benchmarks.machine import MB, Neighbours, Usage, assets, describe, forget_peak
from benchmarks.pictures import photos
from benchmarks.service import Server, graft_api
from benchmarks.wire import Answer, post

BUSY = 503
AT_ONCE = 0.1  # seconds
CLIENTS = 32
LEAVING = 0.2  # share of the clients that hang up
PROBES = 1000
MODEL = "signs"
PATH = f"/api/v1/models/{MODEL}/predict"


@dataclass(frozen=True)
class Overload:
    """Too many requests for `seconds`, `rate` a second, each with the same deadline; the service before and after."""

    answers: Sequence[Answer]
    probes: Sequence[float]
    deadline: float
    before: Usage
    after: Usage

    @property
    def answered(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == OK]

    @property
    def refused(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == BUSY]

    @property
    def late(self) -> list[Answer]:
        """Answered after the deadline, counted from the client's first byte."""
        return [answer for answer in self.answered if answer.seconds > self.deadline]

    @property
    def hesitant(self) -> list[Answer]:
        """Refused, but not at once: they were accepted, and it came to nothing."""
        return [answer for answer in self.refused if answer.seconds > AT_ONCE]

    @property
    def wrong(self) -> Counter[str]:
        """What may not be: neither 200, nor 503 with Retry-After, nor the client's own hanging up."""
        return Counter(
            f"{answer.status or 'broken connection'}{' without Retry-After' if answer.status == BUSY else ''}"
            for answer in self.answers
            if answer.status not in (OK, None) and not (answer.status == BUSY and answer.retry_after)
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--timeout", type=float, default=3, help="seconds that each request gives the service")
    arguments.add_argument("--times", type=float, default=5, help="the capacity")
    asked = arguments.parse_args()
    print(f"{describe()}\ndrawn JPEGs of 500x375", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with opened(home) as stores:
            publish(stores.registry, MODEL, AVG_SOFTMAX)
        with graft_api(home, assets() / "weights") as server:
            neighbours = Neighbours()
            pictures = photos(32)
            capacity = closed_loop(server.port, cycle([post(PATH, picture) for picture in pictures]), CLIENTS, 20).rate
            found = overload(server, pictures, asked.times * capacity, asked.seconds, asked.timeout, PROBES)
            report(found, capacity, asked.seconds)
            print(neighbours)
    if found.late or found.wrong:
        sys.exit("a promise was broken")


def overload(
    server: Server, pictures: Sequence[bytes], rate: float, seconds: float, timeout: float, probes: int
) -> Overload:
    requests = cycle([post(PATH, picture, X_Request_Timeout=f"{timeout:g}") for picture in pictures])
    rng = np.random.default_rng(0)

    def gaps() -> Iterator[float]:
        while True:
            yield rng.exponential(1 / rate)

    def patience() -> float | None:
        return rng.uniform(0, min(1, timeout)) if rng.random() < LEAVING else None

    before = server.usage()
    forget_peak(server.pid)
    probing = Probes(server.port, "/health/live", probes, seconds)
    answers = open_loop(server.port, requests, gaps(), seconds, patience)
    return Overload(answers, probing.seconds(), timeout, before, server.usage())


def report(found: Overload, capacity: float, seconds: float) -> None:
    left = sum(answer.status is None for answer in found.answers)
    print(
        f"capacity {capacity:.2f} pictures/s; {len(found.answers)} requests in {seconds:g} s, "
        f"{len(found.answers) / seconds / capacity:.1f} times as many: {len(found.answered)} answered, "
        f"{len(found.refused)} refused, {left} hung up; goodput {len(found.answered) / seconds / capacity:.2f}"
    )
    print(
        f"200: {said(found.answered)}; {len(found.late)} after the deadline of {found.deadline:g} s; wanted none\n"
        f"503: {said(found.refused)}; {len(found.hesitant)} of them after more than {AT_ONCE * 1e3:g} ms\n"
        f"anything else: {dict(found.wrong) or 'none'}; wanted none"
    )
    print(
        f"/health/live, {len(found.probes):,} probes: median {statistics.median(found.probes) * 1e3:.1f} ms, p99 "
        f"{percentile(found.probes, 0.99) * 1e3:.1f} ms, longest {max(found.probes) * 1e3:.1f} ms; wanted p99 under 100"
    )
    before, after = found.before, found.after
    print(
        f"memory: {before.memory / MB:,.0f} MB before, {after.memory / before.memory - 1:+.1%} after, "
        f"{after.peak / before.memory - 1:+.1%} at the peak; wanted under +10 %. Threads {before.threads} to "
        f"{after.threads}, descriptors {before.descriptors} to {after.descriptors}"
    )


def said(answers: Sequence[Answer]) -> str:
    seconds = [answer.seconds for answer in answers]
    if not seconds:
        return "none"
    return (
        f"median {statistics.median(seconds) * 1e3:.0f} ms, p99 {percentile(seconds, 0.99) * 1e3:.0f} ms, longest "
        f"{max(seconds) * 1e3:.0f} ms"
    )


if __name__ == "__main__":
    main()
