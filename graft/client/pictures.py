"""Pictures to ask about: paths, or bytes; and as many of them as one request takes."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graft.client.bodies import Source, utf8
from graft.errors import InvalidInput

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
        """Raises InvalidInput where there is no such file, or its name is not UTF-8."""
        if isinstance(source, Picture):
            return source
        if isinstance(source, bytes):
            return cls("picture", source)
        path = Path(source)
        try:
            return cls(utf8(path.name), path.read_bytes(), path)
        except OSError as error:
            raise InvalidInput(f"A picture must be a file that can be read; {path}: {error.strerror}.") from None


OnePicture = Source | bytes | Picture
Pictures = OnePicture | Iterable[OnePicture]


def opened(pictures: Pictures) -> Iterator[Picture]:
    """Each with its bytes, read when it is asked for."""
    if isinstance(pictures, str | bytes | os.PathLike | Picture):
        pictures = (pictures,)
    return map(Picture.of, pictures)


def batches(pictures: Pictures) -> Iterator[tuple[Picture, ...]]:
    """In order, as many as one request takes. No more than one batch is read ahead."""
    batch: list[Picture] = []
    for picture in opened(pictures):
        size = sum(len(each.data) for each in batch)
        if batch and (len(batch) == BATCH_PICTURES or size + len(picture.data) > BATCH_BYTES):
            yield tuple(batch)
            batch = []
        batch.append(picture)
    if batch:
        yield tuple(batch)


def no_pictures() -> InvalidInput:
    return InvalidInput("There must be a picture to ask about; received none.")
