"""The batch size that a device works with: the smallest that is about as fast as the best one."""

import time
from collections.abc import Callable, Sequence
from typing import Final

BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
WITHIN = 0.03  # of the best throughput
GAIN = 0.01  # less than that from twice the size, and no larger one is tried
ROUNDS = 2


def best_batch_size(
    run: Callable[[int], object], sizes: Sequence[int], *, clock: Callable[[], float] = time.perf_counter
) -> tuple[int, float]:
    """The smallest of the rising `sizes` whose throughput is within 3 % of the best, and its seconds an item.

    `run(size)` runs one batch. Larger sizes are not tried once twice the size has brought less than 1 %: on a processor
    that is soon, and every try costs the start-up its time. (3 % would stop too soon: on Zen 4 at bfloat16 a batch of 2
    brings 2.7 %, one of 8 4.5 %.)
    """
    seconds: dict[int, float] = {}
    for size in sizes:
        seconds[size] = _seconds(run, size, clock) / size
        if len(seconds) > 1 and seconds[size] > (1 - GAIN) * min(list(seconds.values())[:-1]):
            break
    best = min(seconds.values())
    return next((size, each) for size, each in seconds.items() if each <= best / (1 - WITHIN))


def _seconds(run: Callable[[int], object], size: int, clock: Callable[[], float]) -> float:
    """Of the fastest run: what else the machine does only ever slows one down."""
    run(size)  # compiles, and lays out the weights, for this size
    taken = []
    for _ in range(ROUNDS):
        started = clock()
        run(size)
        taken.append(clock() - started)
    return min(taken)
