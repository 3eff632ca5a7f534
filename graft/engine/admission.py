"""How much work waits for the devices, and whether more of it can be done in time."""

import math
import threading
from types import TracebackType
from typing import Self

from graft.errors import Unavailable

# A promise holds when the machine gets slower by so much, as when a training starts beside.
CAUTION = 1.25
# Share of the newest batch in the running rate: ten batches or so make it forget.
NEWEST = 0.1
# How many times as long as expected a batch counts at most.
MOST_SURPRISE = 4
# Pictures that wait hold memory (150 KB each, and their files), however fast the device is.
MOST_WAITING = 2048


class Admission:
    """Takes work as long as its estimated wait is within what the caller gives it.

    Work is counted in multiply-adds; how long one takes is measured as batches run. Safe to call from many threads.
    devices: how many work at the same time. lanes: batches that a device works on at the same time.
    """

    def __init__(self, devices: int = 1, lanes: int = 1) -> None:
        self._devices = devices
        self._lanes = lanes
        self._waiting = 0.0  # multiply-adds admitted and not done
        self._pictures = 0
        # Of the batches of late, a tenth less with each one: seconds of a device, and multiply-adds.
        self._spent = self._work = 0.0
        self._ended: dict[str, float] = {}  # when each device's last batch did
        self._lock = threading.Lock()

    def ran(self, work: float, began: float, ended: float, device: str) -> None:
        """Learn from a batch, and when it began and ended on its device."""
        with self._lock:
            last = self._ended.get(device, began)
            alone = max(ended - max(began, last), 0.0)  # not what another lane has been counted for
            self._ended[device] = max(ended, last)
        self.learn(work, alone)

    def learn(self, work: float, seconds: float) -> None:
        """So much work has taken a device so long, with nothing beside it."""
        with self._lock:
            if self._work:  # what took far longer was stopped, or compiled something, and says little of the next one
                seconds = min(seconds, MOST_SURPRISE * self.estimate(work))
            # By work, not by batch: a shallow layer takes longer for each multiply-add, and few of them.
            self._spent += seconds - NEWEST * self._spent
            self._work += work - NEWEST * self._work

    def estimate(self, work: float) -> float:
        """How long a device takes for it, as of late; 0 before anything was measured."""
        return work * self._spent / self._work if self._work else 0.0

    def latest_start(self, work: float, deadline: float) -> float:
        """When it must begin to be done by then, while the device's other lanes are as busy."""
        return deadline - self.estimate(work) * self._lanes

    def wait(self, work: float) -> float:
        """Seconds until this work would be done, behind what waits."""
        return self.estimate(self._waiting / self._devices + work) * CAUTION

    def check(self, work: float, seconds: float, pictures: int = 1) -> None:
        """Raises Unavailable when this work would not be done within `seconds`, or too much waits already.

        Where nothing waits it is tried, whatever the estimate: an estimate that is wrong is mended only by what runs.
        """
        alone, wait = self.estimate(work) * CAUTION, self.wait(work)
        if self._pictures and wait > seconds:
            raise Unavailable(
                f"A prediction must be ready within {seconds:.3g} s; what waits before this one takes about "
                f"{wait - alone:.1f} s and this one {alone:.1f} s: the service is busy. Ask again later, with fewer "
                "pictures, or give it more time.",
                retry_after=max(math.ceil(wait - seconds), 1),
            )
        if self._pictures + pictures > MOST_WAITING:
            raise Unavailable(
                f"At most {MOST_WAITING} pictures wait at the same time; {self._pictures} do: the service is busy. "
                "Ask again later.",
                retry_after=math.ceil(wait / 2) or 1,
            )

    def admit(self, work: float, seconds: float, pictures: int) -> "Place":
        """A place for this work among what waits, to be left when it is done or given up. Raises what `check` does."""
        with self._lock:
            self.check(work, seconds, pictures)
            self._waiting += work
            self._pictures += pictures
        return Place(self, work, pictures)

    def _leave(self, work: float, pictures: int) -> None:
        with self._lock:
            self._waiting = max(0.0, self._waiting - work)
            self._pictures -= pictures


class Place:
    """What one call has admitted. Leaving its `with` block gives back whatever is not done by then."""

    def __init__(self, admission: Admission, work: float, pictures: int) -> None:
        self._admission = admission
        self._left = (work, pictures)
        self._lock = threading.Lock()

    def done(self, work: float, _picture: object = None) -> None:
        """One of its pictures, of so much work, is done or dropped: a callback of that picture's future."""
        self._give_back(work, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._give_back(*self._left)

    def _give_back(self, work: float, pictures: int) -> None:
        with self._lock:
            if self._left[1] < pictures:  # given back already
                return
            self._left = (self._left[0] - work, self._left[1] - pictures)
        self._admission._leave(work, pictures)
