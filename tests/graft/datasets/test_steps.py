from itertools import count

import pytest

from graft.datasets.steps import BETWEEN, Steps, stoppable
from graft.errors import Interrupted
from graft.types import Progress
from tests.monitors import Recorder


def test_each_step_is_reported_and_may_be_the_last() -> None:
    watch = Recorder(stop_after=2)
    steps = Steps(watch, 9)
    steps.done(4)
    with pytest.raises(Interrupted):
        steps.done()
    assert [(report.step, report.steps) for report in watch.reports] == [(4, 9), (5, 9)]


def test_items_without_end_can_be_stopped() -> None:
    watch = Recorder(stop_after=1)
    items = stoppable(count(1), watch)
    seen = [next(items)]
    watch.report(Progress("validating"))
    with pytest.raises(Interrupted):
        seen.extend(items)
    assert seen == [*range(1, BETWEEN + 1)]
