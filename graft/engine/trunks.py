"""The trunks that run: one for each device and precision in use."""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from graft.engine.heap import trim
from graft.types import Precision
from graft.vgg16.layers import INPUT, feature_shape
from graft.vgg16.trunk import TrunkRunner

MakeTrunk = Callable[[Precision, str], TrunkRunner]


class Trunks:
    """Makes each trunk when it is first asked for. Safe to call from many threads.

    make: a trunk by its precision and device.
    """

    def __init__(self, make: MakeTrunk, devices: Sequence[str]) -> None:
        self.devices = tuple(devices)
        self._make = make
        self._made: dict[tuple[Precision, str], TrunkRunner] = {}
        self._warm: set[tuple[Precision, str]] = set()  # precision and cut
        self._lock = threading.Lock()
        self._warming = threading.Lock()  # of many who ask for one cut at a time, the first compiles it

    def get(self, precision: Precision, device: str) -> TrunkRunner:
        with self._lock:
            if (precision, device) not in self._made:
                self._made[precision, device] = self._make(precision, device)
            return self._made[precision, device]

    def is_warm(self, precision: Precision, cut: str) -> bool:
        return (precision, cut) in self._warm

    def warm(self, precision: Precision, cut: str) -> None:
        """Have every device ready for pictures that leave at this cut: compiled now, not when the first one comes."""
        with self._warming:
            if self.is_warm(precision, cut):
                return
            for device in self.devices:
                self.get(precision, device).run(np.zeros((1, *feature_shape(INPUT)), np.float32), INPUT, [cut])
            self._warm.add((precision, cut))
        trim()
