"""A job's events as they happen, as server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html)."""

import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.exc import SQLAlchemyError

from app.schemas import EventAnswer, JobProgress
from graft.jobs import Event, Jobs, Standing

LOOK_SECONDS: Final = 0.5
SILENCE_SECONDS: Final = 15.0  # proxies close a connection on which nothing passes, most of them after 30 or 60 s
THREADS: Final = 2
log = logging.getLogger("graft.app")
T = TypeVar("T")


class Streams:
    """Every stream that is open, fed by one look at the database for all of them.

    It lives on the event loop. The database is asked in threads, few enough that however many streams leave the other
    routes theirs.
    """

    def __init__(self, jobs: Jobs, *, every: float = LOOK_SECONDS, silence: float = SILENCE_SECONDS) -> None:
        self._jobs = jobs
        self._every = every
        self._silence = silence
        self._threads = anyio.CapacityLimiter(THREADS)
        self._followers: Counter[str] = Counter()
        self._standings: dict[str, Standing] = {}
        self._looked = anyio.Event()
        self._closed = False
        self._away = False

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Streams are fed within."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_again_and_again)
            yield
            tasks.cancel_scope.cancel()

    def close(self) -> None:
        """End every stream, now, and every later one as soon as it has said what there is to say."""
        self._closed = True
        self._looked.set()

    async def follow(self, job_id: str, after: int, standing: Standing) -> AsyncIterator[bytes]:
        """The job's events above `after` and its progress, encoded; ends after the job's last event, or on `close`.

        standing: of a moment ago, so that the stream begins at once.
        """
        progress, spoke = None, time.monotonic()
        with self._following(job_id, standing):
            while True:
                looked, standing = self._looked, self._standings[job_id]
                while after < standing.event and (events := await self._ask(self._page, job_id, after)):
                    for event in events:
                        yield _numbered(event)
                    after, spoke = events[-1].id, time.monotonic()
                if standing.progress != progress and not standing.finished:
                    yield _unnumbered(standing)
                    progress, spoke = standing.progress, time.monotonic()
                if self._closed or (standing.finished and after >= standing.event):
                    return
                if time.monotonic() - spoke >= self._silence:
                    yield KEEPALIVE_COMMENT
                    spoke = time.monotonic()
                await looked.wait()

    @contextmanager
    def _following(self, job_id: str, standing: Standing) -> Iterator[None]:
        self._followers[job_id] += 1
        self._standings.setdefault(job_id, standing)
        try:
            yield
        finally:
            self._followers[job_id] -= 1
            if not self._followers[job_id]:
                del self._followers[job_id], self._standings[job_id]

    async def _look_again_and_again(self) -> None:
        while True:
            await anyio.sleep(self._every)
            if self._followers:
                found = await self._ask(self._jobs.standings, [*self._followers]) or {}
                self._standings.update((job, found[job]) for job in found if job in self._followers)
            self._looked.set()
            if not self._closed:
                self._looked = anyio.Event()

    def _page(self, job_id: str, after: int) -> list[Event]:
        return self._jobs.events(job_id, after=after)[0]

    async def _ask(self, question: Callable[..., T], *about: object) -> T | None:
        """The database's answer; None while it does not answer, which is logged once."""
        try:
            answer = await anyio.to_thread.run_sync(question, *about, limiter=self._threads, abandon_on_cancel=True)
        except SQLAlchemyError as error:
            if not self._away:
                log.warning("Streams of events wait for the database, which does not answer: %s", error)
            self._away = True
            return None
        self._away = False
        return answer


def _numbered(event: Event) -> bytes:
    return format_sse_event(id=str(event.id), event=event.type, data_str=EventAnswer.of(event).model_dump_json())


def _unnumbered(standing: Standing) -> bytes:
    """Without an id: a client that comes back is told where the job is then, not where it has been."""
    progress = JobProgress.model_validate(standing.progress or {})
    return format_sse_event(event="progress", data_str=progress.model_dump_json())
