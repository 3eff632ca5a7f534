"""What a request is made of, before anybody sends it."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx

from graft.client.bodies import Body
from graft.errors import InvalidInput

T = TypeVar("T")

OnProgress = Callable[[int, int], None]  # bytes sent, bytes in all
Source = str | os.PathLike[str]
# What the service takes in one request by default: 32 pictures and 20 MiB, with room for what a form adds.
BATCH_PICTURES = 32
BATCH_BYTES = 19 * 1024 * 1024


@dataclass(frozen=True)
class Picture:
    """`path`: where its bytes came from, if from a file."""

    name: str
    data: bytes
    path: Path | None = None

    @classmethod
    def of(cls, source: "Source | bytes | Picture") -> "Picture":
        """Raises InvalidInput where there is no such file."""
        if isinstance(source, Picture):
            return source
        if isinstance(source, bytes):
            return cls("picture", source)
        path = Path(source)
        try:
            return cls(path.name, path.read_bytes(), path)
        except OSError as error:
            raise InvalidInput(f"A picture must be a file that can be read; {path}: {error.strerror}.") from None


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and the meaning of its answer.

    path: below /api/v1, percent-encoded; creates: send an Idempotency-Key, so that a repetition makes no second thing;
    timeout: seconds without a byte of an answer.
    """

    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    query: Mapping[str, str | int | float] = field(default_factory=dict)
    json: Any = None
    body: Body | None = None
    pictures: tuple[Picture, ...] = ()
    on_progress: OnProgress | None = None
    accept: str = "application/json"
    creates: bool = False
    timeout: float = 60.0


def batches(pictures: Iterable[Source | bytes | Picture]) -> Iterator[tuple[Picture, ...]]:
    """In order, as many as one request takes. No more than one batch is read ahead."""
    batch: list[Picture] = []
    for source in pictures:
        picture = Picture.of(source)
        size = sum(len(each.data) for each in batch)
        if batch and (len(batch) == BATCH_PICTURES or size + len(picture.data) > BATCH_BYTES):
            yield tuple(batch)
            batch = []
        batch.append(picture)
    if batch:
        yield tuple(batch)


def no_pictures() -> InvalidInput:
    return InvalidInput("There must be a picture to ask about; received none.")
