import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from graft.engine.batcher import Batcher
from graft.engine.metrics import EngineMetrics
from graft.errors import Unavailable


class Device:
    """Doubles numbers; the first batch waits at a gate, so that a test can fill the queue behind it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.busy, self.gate = threading.Event(), threading.Event()

    def run(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.busy.set()
        self.gate.wait()
        if -1 in items:
            raise ArithmeticError("-1 cannot be doubled")
        return [2 * item for item in items]


@pytest.fixture
def device() -> Device:
    return Device()


def fill(batcher: Batcher[int, int], device: Device, items: Sequence[int]) -> list[Future[int]]:
    """Submit 0, and the items while the device is busy with it."""
    (first,) = batcher.submit([0])
    device.busy.wait()
    return [first, *batcher.submit(items)]


def test_what_waits_when_the_device_is_free_runs_as_one_batch(device: Device) -> None:
    batcher = Batcher([device.run], batch_size=3, metrics=EngineMetrics())
    answers = fill(batcher, device, [1, 2, 3, 4, 5])
    device.gate.set()
    assert [answer.result() for answer in answers] == [0, 2, 4, 6, 8, 10]
    assert device.batches == [[0], [1, 2, 3], [4, 5]]
    batcher.close()


def test_a_cancelled_item_is_not_run(device: Device) -> None:
    batcher = Batcher([device.run], batch_size=3, metrics=EngineMetrics())
    answers = fill(batcher, device, [1, 2])
    assert answers[1].cancel()
    device.gate.set()
    assert answers[2].result() == 4
    assert device.batches == [[0], [2]]
    batcher.close()


def test_an_error_reaches_its_batch_and_the_next_one_runs(device: Device) -> None:
    batcher = Batcher([device.run], batch_size=2, metrics=EngineMetrics())
    answers = fill(batcher, device, [1, -1, 2])
    device.gate.set()
    for answer in answers[1:3]:
        with pytest.raises(ArithmeticError, match="-1 cannot be doubled"):
            answer.result()
    assert answers[3].result() == 4
    batcher.close()


def test_a_device_that_answers_too_little_fails_its_batch_alone() -> None:
    def answer(items: Sequence[int]) -> Sequence[int]:
        return [] if items == [1] else items

    batcher = Batcher([answer], batch_size=1, metrics=EngineMetrics())
    with pytest.raises(ValueError, match="zip"):
        batcher.submit([1])[0].result()
    assert batcher.submit([2])[0].result() == 2
    batcher.close()


def test_close_answers_what_was_accepted_and_takes_no_more(device: Device) -> None:
    batcher = Batcher([device.run], batch_size=2, metrics=EngineMetrics())
    answers = fill(batcher, device, [1, 2, 3])
    device.gate.set()
    batcher.close()
    assert [answer.result(timeout=0) for answer in answers] == [0, 2, 4, 6]
    with pytest.raises(Unavailable):
        batcher.submit([4])
    batcher.close()


def test_kinds_share_no_batch_and_keep_their_order(device: Device) -> None:
    batcher = Batcher([device.run], batch_size=3, metrics=EngineMetrics(), kind=lambda item: item % 2)
    answers = fill(batcher, device, [2, 3, 4, 5, 6, 7, 8])
    device.gate.set()
    assert [answer.result() for answer in answers] == [0, 4, 6, 8, 10, 12, 14, 16]
    assert device.batches == [[0], [2, 4, 6], [3, 5, 7], [8]]
    batcher.close()


def test_what_was_not_begun_in_time_is_not_run(device: Device) -> None:
    batcher = Batcher([device.run], batch_size=3, metrics=EngineMetrics())
    (first,) = fill(batcher, device, [])
    (late,) = batcher.submit([1], start_by=time.monotonic())
    (in_time,) = batcher.submit([2], start_by=time.monotonic() + 3600)
    device.gate.set()
    with pytest.raises(TimeoutError):
        late.result()
    assert (first.result(), in_time.result()) == (0, 4)
    assert device.batches == [[0], [2]]
    batcher.close()


def test_a_cancelled_item_takes_no_place_in_a_batch(device: Device) -> None:
    batcher = Batcher([device.run], batch_size=2, metrics=EngineMetrics())
    answers = fill(batcher, device, [1, 2, 3])
    answers[1].cancel()
    device.gate.set()
    batcher.close()
    assert device.batches == [[0], [2, 3]]


def test_each_device_works_on_its_own() -> None:
    one, two = Device(), Device()
    batcher = Batcher([one.run, two.run], batch_size=1, metrics=EngineMetrics())
    answers = batcher.submit([1, 2])
    one.busy.wait()
    two.busy.wait()  # both at once
    one.gate.set()
    two.gate.set()
    assert [answer.result() for answer in answers] == [2, 4]
    batcher.close()
