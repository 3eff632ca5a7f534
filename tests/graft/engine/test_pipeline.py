"""Load on an engine whose device is shut and opened by the test: who waits, who is refused, who is dropped."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from math import inf
from typing import Any

import numpy as np
import pytest

from graft.database import connect, migrate
from graft.engine.admission import Admission
from graft.engine.answers import File, Prediction
from graft.engine.pipeline import CPU_LANES, Pipeline
from graft.engine.predictor import Predictor
from graft.engine.runtime import Array, Embedding
from graft.engine.trunks import Trunks
from graft.errors import NotAPicture, Unavailable
from graft.settings import Settings
from graft.stores import Stores, open_stores
from graft.types import InputKey
from graft.vgg16.layers import LAST
from tests.app.conftest import publish
from tests.drawing import jpeg
from tests.graft.engine.preparing import Watched
from tests.trunks import Gate

ONE: list[File] = [(None, jpeg("discs", 1))]


class Engine:
    """A predictor with the model `a` behind a gate, and what its metrics say."""

    def __init__(self, stores: Stores, timeout: float) -> None:
        self.gate, self.metrics = Gate(), Watched()
        self.predictor = Predictor(
            stores.registry,
            stores.weights,
            memory_bytes=10**9,
            max_pixels=10**6,
            timeout=timeout,
            metrics=self.metrics,
            precision="float32",  # the model's own: its trunk is warm before the gate is shut
            trunk=self.gate.trunk,
        )
        self.predictor.start()
        self._before = self.gate.pictures

    @property
    def entered(self) -> int:
        """Pictures that have entered the trunk since the start."""
        return self.gate.pictures - self._before

    @property
    def admission(self) -> Admission:
        return self.predictor._running().pipeline._admission

    def rejected(self, reason: str) -> float:
        return self.metrics.value("graft_engine_rejections_total", reason=reason)

    async def fill(self) -> "asyncio.Future[list[Prediction]]":
        """Shut the gate, and have a batch of one picture before it on every lane: the next ones wait in the queue."""
        self.gate.shut()
        inside = []
        for _ in range(CPU_LANES):
            full = self.gate.batches + 1
            inside.append(asyncio.create_task(self.predictor.predict("a", ONE)))
            await until(partial(self.gate.reached, full))
        return asyncio.gather(*inside)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)  # a bare turn of the loop would hold the interpreter lock that the lanes need


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    engine = connect(settings.sqlalchemy_url)
    migrate(engine)
    stores = open_stores(settings, engine)
    publish(stores.registry, "a", 1, "job_a", scale=0.1)
    yield stores
    engine.dispose()


@pytest.fixture
def engine(stores: Stores) -> Iterator[Engine]:
    engine = Engine(stores, timeout=60)
    yield engine
    engine.gate.open()
    engine.predictor.close()


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 60))


def test_a_picture_that_waits_no_longer_is_dropped(engine: Engine) -> None:
    """One is inside when its caller leaves, the other has not begun."""

    async def scene() -> None:
        inside = await engine.fill()
        waiting = asyncio.create_task(engine.predictor.predict("a", ONE * 3))
        await until(lambda: engine.metrics.waiting_pictures == 3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        engine.gate.open()
        assert [answer.version for answer in await inside] == [1] * CPU_LANES
        await engine.predictor.predict("a", ONE)
        assert engine.entered == CPU_LANES + 1
        assert engine.rejected("left") == 1

    play(scene())


def test_an_answer_that_is_late_is_an_error_at_its_deadline_and_costs_nothing_more(engine: Engine) -> None:
    async def scene() -> None:
        inside = await engine.fill()
        with pytest.raises(Unavailable, match=r"within 0\.2 s; this one was not") as error:
            await engine.predictor.predict("a", ONE, timeout=0.2)
        assert error.value.retry_after >= 1
        engine.gate.open()
        await inside
        await engine.predictor.predict("a", ONE)
        assert engine.entered == CPU_LANES + 1
        assert engine.rejected("late") == 1

    play(scene())


def test_what_would_be_late_is_refused_before_it_is_decoded(engine: Engine) -> None:
    async def scene() -> None:
        inside = await engine.fill()
        engine.predictor.refuse_when_busy(None)
        for _ in range(100):  # a machine that becomes unbearably slow
            engine.admission.learn(10**10, 3600)
        with pytest.raises(Unavailable, match="what waits before this one takes about"):
            await engine.predictor.predict("a", [(None, b"no picture, and nobody looks")])
        with pytest.raises(Unavailable, match="what waits before this one takes about"):
            engine.predictor.refuse_when_busy(None)
        engine.gate.open()
        await inside
        assert engine.rejected("busy") == 2
        assert engine.entered == CPU_LANES

    play(scene())


def test_callers_may_not_wait_longer_than_the_predictor_lets_them(stores: Stores) -> None:
    engine = Engine(stores, timeout=0.2)

    async def scene() -> None:
        engine.gate.shut()
        with pytest.raises(Unavailable, match=r"within 0\.2 s"):
            await engine.predictor.predict("a", ONE, timeout=1000)
        engine.gate.open()

    play(scene())
    engine.predictor.close()


def test_one_bad_picture_drops_the_rest_of_its_request(engine: Engine) -> None:
    async def scene() -> None:
        inside = await engine.fill()
        with pytest.raises(NotAPicture):
            await engine.predictor.predict("a", [*ONE, (None, b"no picture")])
        engine.gate.open()
        await inside
        assert engine.entered == CPU_LANES

    play(scene())


def test_what_was_accepted_is_answered_when_it_stops_and_no_more_is_taken(engine: Engine) -> None:
    async def scene() -> None:
        engine.gate.shut()
        accepted = [asyncio.create_task(engine.predictor.predict("a", ONE)) for _ in range(5)]
        await until(lambda: engine.entered + engine.metrics.waiting_pictures == 5)
        closing = asyncio.get_running_loop().run_in_executor(None, engine.predictor.close)
        engine.gate.open()
        answers = await asyncio.gather(*accepted)
        assert [answer.version for answer in answers] == [1] * 5
        await closing
        with pytest.raises(Unavailable, match="stopping"):
            await engine.predictor.predict("a", ONE)

    play(scene())


def test_after_any_load_nothing_is_left_waiting(engine: Engine) -> None:
    """Answered, cancelled, late and broken ones in one crowd: the next caller is admitted as on the first day."""

    async def scene() -> None:
        crowd = [
            asyncio.create_task(engine.predictor.predict("a", files, timeout=timeout))
            for files in (ONE, ONE * 4, [*ONE, (None, b"no picture")])
            for timeout in (None, 30.0, 0.05)
            for _ in range(10)
        ]
        for i, task in enumerate(crowd):
            if i % 7 == 0:
                await asyncio.sleep(0)
                task.cancel()
        ends = await asyncio.gather(*crowd, return_exceptions=True)
        assert {type(end) for end in ends} >= {asyncio.CancelledError, NotAPicture}
        await until(lambda: engine.metrics.waiting_pictures == 0)
        await until(lambda: engine.admission.wait(0) == 0)
        assert (await engine.predictor.predict("a", ONE)).version == 1

    play(scene())


@pytest.mark.parametrize(
    ("beside", "batches"),
    [(InputKey(preprocessing="none"), 1), (InputKey(precision="bfloat16"), 2)],
    ids=["another preprocessing", "another precision"],
)
def test_pictures_of_one_precision_share_a_batch_and_each_gets_its_own(beside: InputKey, batches: int) -> None:
    gate, metrics, asked = Gate(), Watched(), [InputKey(), beside]
    trunks = Trunks(gate.trunk, ("GPU:0",))  # one batch at a time
    pipeline = Pipeline(trunks, 8, admission=Admission(), max_pixels=10**6, timeout=60, metrics=metrics)

    def ask(key: InputKey) -> Coroutine[Any, Any, list[Array]]:
        return pipeline.ask([(key, Embedding(LAST, "avg"))], ONE, deadline=inf)

    async def scene() -> None:
        alone = [await ask(key) for key in asked]
        gate.shut()
        full = gate.batches + 1
        inside = asyncio.create_task(ask(InputKey()))
        await until(partial(gate.reached, full))
        before = metrics.batches
        together = [asyncio.create_task(ask(key)) for key in asked]
        await until(lambda: metrics.waiting_pictures == 2)
        gate.open()
        await inside
        np.testing.assert_array_equal(await asyncio.gather(*together), alone)
        assert metrics.batches - before == batches

    play(scene())
    pipeline.close()
