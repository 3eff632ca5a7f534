"""Load on an engine whose device is shut and opened by the test: who waits, who is refused, who is dropped."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from graft.database import connect, migrate
from graft.engine.admission import Admission
from graft.engine.answers import File, Prediction
from graft.engine.metrics import EngineMetrics
from graft.engine.pipeline import CPU_LANES
from graft.engine.predictor import Predictor
from graft.errors import NotAPicture, Unavailable
from graft.settings import Settings
from graft.stores import Stores, open_stores
from graft.types import InputKey
from tests.app.conftest import publish
from tests.drawing import jpeg
from tests.trunks import Gate

ONE: list[File] = [(None, jpeg("discs", 1))]


class Engine:
    """A predictor with the model `a` behind a gate, and what its metrics say."""

    def __init__(self, stores: Stores, timeout: float) -> None:
        self.gate, self._registry = Gate(), CollectorRegistry()
        self.predictor = Predictor(
            stores.registry,
            stores.weights,
            memory_bytes=10**9,
            max_pixels=10**6,
            timeout=timeout,
            metrics=EngineMetrics(self._registry),
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

    def count(self, series: str, **labels: str) -> float:
        return self._registry.get_sample_value(series, labels) or 0.0

    def rejected(self, reason: str) -> float:
        return self.count("graft_engine_rejections_total", reason=reason)

    async def fill(self) -> "asyncio.Future[list[Prediction]]":
        """Shut the gate, and have a batch of one picture before it on every lane: the next ones wait in the queue."""
        self.gate.shut()
        inside = []
        for _ in range(CPU_LANES):
            full = self.gate.batches + 1
            inside.append(asyncio.create_task(self.predictor.predict("a", ONE)))
            await self.until(partial(self.gate.reached, full))
        return asyncio.gather(*inside)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0)


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
        await engine.until(lambda: engine.count("graft_engine_waiting_pictures") == 3)
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
        engine.predictor.refuse_when_busy(None)
        engine.admission.ran(1, 0.0, 10**9, "another")  # a machine that has become unbearably slow
        with pytest.raises(Unavailable, match="alone takes about"):
            await engine.predictor.predict("a", [(None, b"no picture, and nobody looks")])
        with pytest.raises(Unavailable, match="alone takes about"):
            engine.predictor.refuse_when_busy(None)
        assert engine.rejected("busy") == 2
        assert engine.entered == 0

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
        await engine.until(lambda: engine.entered + engine.count("graft_engine_waiting_pictures") == 5)
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
        await engine.until(lambda: engine.count("graft_engine_waiting_pictures") == 0)
        await engine.until(lambda: engine.admission.wait(0) == 0)
        assert (await engine.predictor.predict("a", ONE)).version == 1

    play(scene())


def test_models_of_other_inputs_share_a_batch_and_each_gets_its_own(engine: Engine, stores: Stores) -> None:
    publish(stores.registry, "raw", 1, "job_raw", scale=0.1, input=InputKey(preprocessing="none"))

    async def scene() -> None:
        alone = [await engine.predictor.predict(model, ONE) for model in ("a", "raw")]
        inside = await engine.fill()
        together = [asyncio.create_task(engine.predictor.predict(model, ONE)) for model in ("a", "raw")]
        await engine.until(lambda: engine.count("graft_engine_waiting_pictures") == 2)
        engine.gate.open()
        await inside
        assert list(await asyncio.gather(*together)) == alone

    play(scene())
