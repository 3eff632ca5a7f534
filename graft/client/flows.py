"""What takes several calls: lists page by page, waiting, watching, many pictures."""

import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import httpx

from graft.client import calls
from graft.client.answers import (
    FINISHED,
    Answer,
    Dataset,
    Embedding,
    Embeddings,
    Event,
    Job,
    Model,
    Page,
    PicturePrediction,
    Prediction,
    Progress,
)
from graft.client.errors import ApiError, Unreachable
from graft.client.pictures import Pictures, batches, no_pictures
from graft.client.request import Call
from graft.client.session import NOT_NOW, Session, unreachable
from graft.client.sse import messages

A = TypeVar("A", bound=Answer)
LOOK_AGAIN = 0.5  # seconds
OUTAGE = 60.0  # seconds without an answer until watching is given up: a service that starts again takes less


async def datasets(session: Session, *, state: str | None = None, name: str | None = None) -> AsyncIterator[Dataset]:
    """Every dataset, newest first, fetched page by page."""
    async for dataset in _pages(session, lambda after: calls.datasets(state=state, name=name, after=after), "id"):
        yield dataset


async def jobs(
    session: Session,
    *,
    state: str | None = None,
    kind: str | None = None,
    model: str | None = None,
    dataset: str | None = None,
) -> AsyncIterator[Job]:
    """Every job, newest first, fetched page by page."""

    def page(after: str | None) -> Call[Page[Job]]:
        return calls.jobs(state=state, kind=kind, model=model, dataset=dataset, after=after)

    async for job in _pages(session, page, "id"):
        yield job


async def models(session: Session) -> AsyncIterator[Model]:
    """Every model by name, `vgg16` among them, fetched page by page."""
    async for model in _pages(session, lambda after: calls.models(after=after), "name"):
        yield model


async def wait(session: Session, job: Job | str) -> Job:
    """The job, once it has ended, however it did."""
    async for _news in watch(session, job):
        pass
    return await session.ask(calls.job(job))


async def wait_dataset(session: Session, dataset: Dataset | str) -> Dataset:
    """The dataset, once every picture has been looked at: ready or rejected."""
    while True:
        found = await session.ask(calls.dataset(dataset))
        if found.state != "validating":
            return found
        await session.wire.pause(LOOK_AGAIN)


async def watch(
    session: Session, job: Job | str, *, after: int = 0, on_silence: Callable[[], None] | None = None
) -> AsyncIterator[Event | Progress]:
    """What happens to a job from event `after` on, as it happens, until the job ends.

    A connection that drops is made again where it broke off; a service that does not stream is asked again and again.
    `on_silence` is called while nothing answers. Raises ApiError, and Unreachable where nothing answers at first, or
    for a minute.
    """
    streams = True
    shown: Progress | None = Progress()
    heard, away_since = False, None
    while True:
        try:
            # Patience is the loop's own, once the job has been seen.
            now = await session.ask(calls.job(job), patience=0 if heard else None)
            heard, away_since = True, None
            over = now.finished
            source = _streamed(session, job, after) if streams and not over else _listed(session, now, after)
            async for news in source:
                if isinstance(news, Event):
                    after, over = news.id, over or news.type in FINISHED
                    yield news
                elif news != shown:
                    shown = news
                    yield news
            if over:
                return
        except _NotStreamed:
            streams = False
            continue
        except (httpx.TransportError, Unreachable, ApiError) as error:
            if isinstance(error, ApiError) and error.status not in NOT_NOW:
                raise
            if away_since and on_silence:  # for the second time
                on_silence()
                shown = None  # so that what was said of it is not the last word
            away_since = away_since or time.monotonic()
            if not heard or time.monotonic() - away_since > OUTAGE:
                raise (unreachable(error) if isinstance(error, httpx.TransportError) else error) from None
        await session.wire.pause(LOOK_AGAIN)


async def predict(
    session: Session,
    model: str,
    pictures: Pictures,
    *,
    top: int = 5,
    version: int | None = None,
    alias: str | None = None,
    timeout: float | None = None,
) -> Prediction:
    """What is in these pictures: paths, or bytes. As many requests as it takes, all answered by one version.

    `timeout`: seconds after which the service shall give a request up.
    """
    last: Prediction | None = None
    entries: list[PicturePrediction] = []
    for batch in batches(pictures):
        last = await session.ask(calls.predict(model, batch, top=top, version=version, alias=alias, timeout=timeout))
        version, alias = last.version, None
        entries += last.predictions
    if last is None:
        raise no_pictures()
    return last.model_copy(update={"predictions": entries})


async def embed(
    session: Session,
    pictures: Pictures,
    *,
    layer: str = "block5_pool",
    pooling: str = "avg",
    timeout: float | None = None,
) -> Embeddings:
    """The trunk's features at a layer, for each picture: paths, or bytes. As many requests as it takes.

    `timeout`: seconds after which the service shall give a request up.
    """
    last: Embeddings | None = None
    entries: list[Embedding] = []
    for batch in batches(pictures):
        last = await session.ask(calls.embed(batch, layer=layer, pooling=pooling, timeout=timeout))
        entries += last.embeddings
    if last is None:
        raise no_pictures()
    return last.model_copy(update={"embeddings": entries, "shape": [len(entries), *last.shape[1:]]})


async def _pages(session: Session, page: Callable[[str | None], Call[Page[A]]], key: str) -> AsyncIterator[A]:
    """`key`: the field of an entry that its next page comes after."""
    after: str | None = None
    while True:
        found = await session.ask(page(after))
        for entry in found.data:
            yield entry
        if not found.has_more or not found.data:
            return
        after = str(getattr(found.data[-1], key))


class _NotStreamed(Exception):
    """The service answers with a list where a stream was asked for."""


async def _streamed(session: Session, job: Job | str, after: int) -> AsyncIterator[Event | Progress]:
    headers = {"Last-Event-ID": str(after)} if after else {}
    async with session.listen(calls.live_events(job), headers) as stream:
        if not stream.head.headers.get("content-type", "").startswith("text/event-stream"):
            raise _NotStreamed
        async for message in messages(stream.pieces):
            if message.kind == "progress":
                yield Progress.model_validate_json(message.data)
            else:
                yield Event.model_validate_json(message.data)


async def _listed(session: Session, job: Job, after: int) -> AsyncIterator[Event | Progress]:
    page: Page[Event] | None = None
    while page is None or (page.has_more and page.data):
        page = await session.ask(calls.events(job, after=after))
        for event in page.data:
            after = event.id
            yield event
    if not job.finished:
        yield job.progress
