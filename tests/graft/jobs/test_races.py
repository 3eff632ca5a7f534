"""Real processes that want the same thing at the same moment."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection

from sqlalchemy import Engine

from graft.database import connect
from graft.jobs import Jobs

ROUNDS = 200
spawn = multiprocessing.get_context("spawn")


def claim_in_rounds(url: str, owner: str, orders: Connection) -> None:
    """At each word from the other end, claim at once, and answer with the job's id or None."""
    engine = connect(url)
    jobs = Jobs(engine)
    while orders.recv():
        job = jobs.claim("training", owner)
        orders.send(None if job is None else job.id)
    engine.dispose()


def reserve_in_rounds(url: str, owner: str, orders: Connection) -> None:
    """At each word from the other end, reserve a version for a job of its own, and answer with its number."""
    engine = connect(url)
    jobs = Jobs(engine)
    while orders.recv():
        job = jobs.claim("training", owner)
        orders.send(None if job is None else jobs.reserve(job.id, job.fence, "m"))
    engine.dispose()


class Racers:
    """Two processes that run `work` and are set off together."""

    def __init__(self, work: Callable[[str, str, Connection], None], url: str) -> None:
        ends = [spawn.Pipe() for _ in range(2)]
        self._orders = [mine for mine, _ in ends]
        self._processes = [
            spawn.Process(target=work, args=(url, f"worker {n}", theirs)) for n, (_, theirs) in enumerate(ends)
        ]
        for process in self._processes:
            process.start()

    def go(self, first: int = 0) -> list[str | int | None]:
        for orders in self._orders[first:] + self._orders[:first]:
            orders.send(True)
        return [orders.recv() for orders in self._orders]

    def end(self) -> None:
        for orders, process in zip(self._orders, self._processes, strict=True):
            orders.send(False)
            process.join()
            orders.close()
            process.close()


def test_two_workers_that_race_for_one_job_never_both_get_it(engine: Engine, database_url: str) -> None:
    jobs = Jobs(engine)
    racers = Racers(claim_in_rounds, database_url)
    winners = []
    for n in range(ROUNDS):
        job = jobs.create("train")
        answers = racers.go(first=n % 2)
        assert sorted(answers, key=str) == sorted([job.id, None], key=str)
        winners.append(answers.index(job.id))
        assert jobs.get(job.id).fence == 1
        assert [event.type for event in jobs.events(job.id)[0]] == ["queued", "running"]
    racers.end()
    assert len(winners) == ROUNDS
    assert set(winners) == {0, 1}, "one of them never won: that was no race"


def test_jobs_that_publish_the_same_model_at_once_get_different_numbers(engine: Engine, database_url: str) -> None:
    jobs = Jobs(engine)
    racers = Racers(reserve_in_rounds, database_url)
    numbers: list[str | int | None] = []
    for _ in range(50):
        jobs.create("train", model="m")
        jobs.create("train", model="m")
        numbers += racers.go()
    racers.end()
    assert sorted(numbers, key=str) == sorted(range(1, 101), key=str)
