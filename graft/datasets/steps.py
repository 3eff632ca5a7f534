"""How far a validation is, and whether it is to go on."""

import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from graft.errors import Interrupted
from graft.types import Monitor, Progress

Item = TypeVar("Item")
BETWEEN: Final = 4096  # items between two looks at whether to stop


class Steps:
    """Counts what is done of a total. For one thread."""

    def __init__(self, monitor: Monitor, total: int) -> None:
        self._monitor = monitor
        self._total = total
        self._done = 0
        self._started = time.monotonic()

    def done(self, count: int = 1) -> None:
        """So many more are done. Raises Interrupted."""
        self._done += count
        eta = (time.monotonic() - self._started) / self._done * (self._total - self._done)
        self._monitor.report(Progress("validating", step=self._done, steps=self._total, eta_seconds=eta))
        _check_stop(self._monitor)


def stoppable(items: Iterable[Item], monitor: Monitor) -> Iterator[Item]:
    """The same, where each takes no time worth a report. Raises Interrupted."""
    for number, item in enumerate(items):
        if number % BETWEEN == 0:
            _check_stop(monitor)
        yield item


def _check_stop(monitor: Monitor) -> None:
    if monitor.stop_requested():
        raise Interrupted("Validation was asked to stop; it starts anew when the job does.")
