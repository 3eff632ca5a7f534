"""Events as they happen: what a follower is sent, in which order, and when it ends."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from app.streams import Streams
from graft.database import connect, migrate
from graft.jobs import Event, Job, Jobs, Standing
from tests.app.conftest import Client, check_problem

JOBS = "/api/v1/jobs"
STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Message:
    id: int | None
    event: str
    data: dict[str, Any]


def messages(text: str) -> list[Message]:
    """By the rules of the specification, for the fields that are used."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            number = int(fields["id"]) if "id" in fields else None
            found.append(Message(number, fields["event"], json.loads(fields["data"])))
    return found


def follow(client: Client, job: str, **options: Any) -> list[Message]:
    answer = client.get(f"{JOBS}/{job}/events", headers=STREAM | options.pop("headers", {}), **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    return messages(answer.text)


def finished(jobs: Jobs, epochs: int = 3) -> str:
    """Id of a job that has trained that long and succeeded."""
    this = jobs.create("train", model="signs").id
    job = claimed(jobs)
    for epoch in range(1, epochs + 1):
        jobs.event(this, job.fence, "epoch", {"epoch": epoch})
    jobs.progress(this, job.fence, {"phase": "publishing"})
    jobs.succeed(this, job.fence, version=1)
    return this


def claimed(jobs: Jobs) -> Job:
    job = jobs.claim("training", "test")
    assert job is not None
    return job


def test_a_stream_says_what_the_pages_say(client: Client) -> None:
    this = finished(client.services.jobs, epochs=100)  # with the others more than a page
    pages = client.get(f"{JOBS}/{this}/events", params={"limit": 500}).json()["data"]
    streamed = follow(client, this)
    assert [message.data for message in streamed] == pages
    assert [(message.id, message.event) for message in streamed] == [(page["id"], page["type"]) for page in pages]
    assert streamed[-1].event == "succeeded"


def test_a_stream_goes_on_after_the_last_event_that_arrived(client: Client) -> None:
    this = finished(client.services.jobs)
    whole = follow(client, this)
    for seen, message in enumerate(whole[:-1], start=1):
        number = str(message.id)
        assert follow(client, this, headers={"Last-Event-ID": number}) == whole[seen:]
        assert follow(client, this, params={"after": number}) == whole[seen:]
    assert follow(client, this, params={"after": "0"}, headers={"Last-Event-ID": str(whole[0].id)}) == whole[1:]


def test_who_has_all_of_a_job_that_has_ended_is_told_not_to_come_back(client: Client) -> None:
    this = finished(client.services.jobs)
    last = follow(client, this)[-1].id
    answer = client.get(f"{JOBS}/{this}/events", headers=STREAM | {"Last-Event-ID": str(last)})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("garbled", ["", "first", "-1", "1.5", str(2**63)])
def test_a_garbled_last_event_id(client: Client, garbled: str) -> None:
    this = finished(client.services.jobs)
    answer = client.get(f"{JOBS}/{this}/events", headers=STREAM | {"Last-Event-ID": garbled})
    check_problem(answer, 422, "Last-Event-ID")


def test_an_unknown_job_has_no_stream(client: Client) -> None:
    check_problem(client.get(f"{JOBS}/job_none/events", headers=STREAM), 404, "job_none")


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("text/event-stream", True),
        ("application/json;q=0.5, Text/Event-Stream;q=0.9", True),
        ("application/json, text/event-stream", False),
        ("*/*", False),
        ("application/json", False),
        ("text/event-streams", False),
    ],
)
def test_who_gets_a_stream(client: Client, accept: str, streams: bool) -> None:
    answer = client.get(f"{JOBS}/{finished(client.services.jobs)}/events", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/event-stream" if streams else "application/json")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'graft.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def jobs(engine: Engine) -> Jobs:
    return Jobs(engine)


class Follower:
    """Reads a stream message by message."""

    def __init__(self, streams: Streams, jobs: Jobs, job: str, after: int = 0) -> None:
        self._chunks = streams.follow(job, after, jobs.standings([job])[job])

    async def comes(self) -> Message | None:
        """The next message; None at the end."""
        async for chunk in self._chunks:
            if found := messages(chunk.decode()):
                return found[0]
        return None

    async def chunk(self) -> bytes:
        return await anext(self._chunks)

    async def event(self) -> str | None:
        message = await self.comes()
        return message.event if message else None


@asynccontextmanager
async def streaming(jobs: Jobs, **options: Any) -> AsyncIterator[Streams]:
    streams = Streams(jobs, every=0.001, **options)
    async with streams.looking():
        yield streams


def test_events_and_progress_come_as_they_happen(jobs: Jobs) -> None:
    this = jobs.create("train", model="signs").id

    async def script() -> None:
        async with streaming(jobs) as streams:
            one, another = Follower(streams, jobs, this), Follower(streams, jobs, this)
            assert await one.event() == "queued"
            job = claimed(jobs)
            assert await one.event() == "running"
            jobs.progress(this, job.fence, {"phase": "training", "epoch": 1})
            progress = await one.comes()
            nothing = {"epochs": None, "step": None, "steps": None, "rate": None, "eta_seconds": None}
            assert progress == Message(None, "progress", {"phase": "training", "epoch": 1, **nothing})
            jobs.event(this, job.fence, "epoch", {"epoch": 1})
            assert await one.event() == "epoch"
            late = Follower(streams, jobs, this)
            assert [await late.event() for _ in range(4)] == ["queued", "running", "epoch", "progress"]
            jobs.succeed(this, job.fence)
            assert [await one.event() for _ in range(2)] == ["succeeded", None]
            heard = [await another.event() for _ in range(6)]
            assert [each for each in heard if each != "progress"][:4] == ["queued", "running", "epoch", "succeeded"]

    asyncio.run(script())


def test_a_stream_ends_when_the_service_does_and_is_resumed_without_loss_or_repeat(jobs: Jobs) -> None:
    this = jobs.create("train", model="signs").id
    job = claimed(jobs)

    async def until_closed() -> list[Message]:
        async with streaming(jobs) as streams:
            follower = Follower(streams, jobs, this)
            heard = [await follower.comes() for _ in range(2)]
            waiting = asyncio.create_task(follower.comes())
            await asyncio.sleep(0)
            streams.close()
            assert await waiting is None
            late = Follower(streams, jobs, this)  # says what there is to say
            assert [await late.event() for _ in range(3)] == ["queued", "running", None]
            return [message for message in heard if message]

    async def until_the_end(after: int) -> list[Message]:
        async with streaming(jobs) as streams:
            follower = Follower(streams, jobs, this, after)
            heard = []
            while message := await follower.comes():
                heard.append(message)
            return heard

    first = asyncio.run(until_closed())
    jobs.event(this, job.fence, "epoch", {"epoch": 1})
    jobs.fail(this, job.fence, code="no", message="No.")
    last = first[-1].id
    assert last is not None
    rest = asyncio.run(until_the_end(last))
    log = jobs.events(this)[0]
    assert [message.id for message in first + rest] == [event.id for event in log]
    assert [event.type for event in log] == ["queued", "running", "epoch", "failed"]


def test_a_silent_stream_sends_comments(jobs: Jobs) -> None:
    this = jobs.create("train", model="signs").id

    async def script() -> None:
        async with streaming(jobs, silence=0.0) as streams:
            follower = Follower(streams, jobs, this)
            chunks = [await follower.chunk() for _ in range(3)]
            assert b"event: queued" in chunks[0]
            assert [chunk.startswith(b":") for chunk in chunks] == [False, True, True]

    asyncio.run(script())


class CountingJobs(Jobs):
    """Counts the looks, and knows which jobs they were at."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.looks: list[set[str]] = []

    def standings(self, job_ids: Any) -> dict[str, Standing]:
        self.looks.append(set(job_ids))
        return super().standings(job_ids)


def test_all_streams_share_one_look_and_who_leaves_is_not_looked_for(engine: Engine) -> None:
    jobs = CountingJobs(engine)
    these = {jobs.create("train", model="signs").id for _ in range(2)}

    async def look(jobs: CountingJobs) -> set[str]:
        """The next one."""
        before = len(jobs.looks)
        while len(jobs.looks) == before:
            await asyncio.sleep(0.001)
        return jobs.looks[-1]

    async def script() -> None:
        async with streaming(jobs) as streams:
            followers = [Follower(streams, jobs, job) for job in sorted(these) * 50]
            for follower in followers:
                assert await follower.event() == "queued"
            waiting = [asyncio.create_task(follower.comes()) for follower in followers]
            await look(jobs)
            assert await look(jobs) == these
            for task in waiting[1:]:
                task.cancel()
            await asyncio.gather(*waiting[1:], return_exceptions=True)
            await look(jobs)
            assert await look(jobs) == {min(these)}
            waiting[0].cancel()

    asyncio.run(script())


class FlakyJobs(Jobs):
    """Its database is away while `away` says so."""

    away = False

    def _try(self) -> None:
        if self.away:
            raise OperationalError("SELECT", {}, Exception("the server closed the connection"))

    def standings(self, job_ids: Any) -> dict[str, Standing]:
        self._try()
        return super().standings(job_ids)

    def events(self, job_id: str, *, after: int = 0, limit: int = 100) -> tuple[list[Event], bool]:
        self._try()
        return super().events(job_id, after=after, limit=limit)


def test_a_database_that_is_away_for_a_moment_ends_no_stream(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    jobs = FlakyJobs(engine)
    this = jobs.create("train", model="signs").id

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.001)

    async def script() -> None:
        async with streaming(jobs, silence=0.0) as streams:
            follower = Follower(streams, jobs, this)
            jobs.away = True
            for _ in range(20):  # looks and page reads alike
                assert (await follower.chunk()).startswith(b":")
            jobs.away = False
            assert await follower.event() == "queued"
            jobs.cancel(this)
            assert [await follower.event() for _ in range(2)] == ["cancelled", None]

    with caplog.at_level(logging.WARNING):
        asyncio.run(script())
    assert len([record for record in caplog.records if "does not answer" in record.getMessage()]) == 1
    assert not [record for record in caplog.records if record.exc_info]
