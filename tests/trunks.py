"""Trunks that cost nothing: what an engine does besides computing can be tested by the thousand."""

import threading
from collections.abc import Collection

import numpy as np

from graft.types import Precision
from graft.vgg16.layers import INPUT, feature_shape
from graft.vgg16.trunk import Features


class TinyTrunk:
    """Every feature of a picture is the mean of its pixels."""

    def __init__(self, precision: Precision, device: str) -> None:
        self.precision = precision
        self.device = device

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:  # noqa: ARG002
        means = pictures.mean((1, 2, 3), dtype=np.float32)
        shapes = {cut: (len(pictures), *feature_shape(cut)) for cut in cuts}
        return {cut: np.ascontiguousarray(np.broadcast_to(means[:, None, None, None], shapes[cut])) for cut in cuts}


class Gate:
    """Makes tiny trunks that wait, once it is shut, until it is opened again."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.pictures = 0  # that have come to it
        self.batches = 0

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def reached(self, batches: int) -> bool:
        return self.batches >= batches

    def trunk(self, precision: Precision, device: str) -> "GatedTrunk":
        return GatedTrunk(precision, device, self)

    def pass_through(self, pictures: int) -> None:
        self.pictures += pictures
        self.batches += 1
        self._open.wait()


class GatedTrunk(TinyTrunk):
    def __init__(self, precision: Precision, device: str, gate: Gate) -> None:
        super().__init__(precision, device)
        self._gate = gate

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        if start == INPUT:
            self._gate.pass_through(len(pictures))
        return super().run(pictures, start, cuts)
