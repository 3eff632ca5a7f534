"""Bodies as streams: however the network cuts them up, what comes out is what was sent."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from app.bodies import Part, multipart
from app.pictures import pictures
from graft.errors import InvalidInput, TooLarge

BOUNDARY = b"----graft"
Sent = tuple[str, str | None, bytes]

names = st.sampled_from(["file", "archive", "name"])
filenames = st.none() | st.text(st.characters(exclude_characters="\\\0", exclude_categories=["Cs"]), min_size=1)
contents = st.binary(max_size=200) | st.sampled_from([b"\r\n", b"\r\n--", BOUNDARY, b"\r\n--" + BOUNDARY[:-1], b"--"])
sent = st.lists(st.tuples(names, filenames, contents), max_size=4)


def quoted(filename: str) -> str:
    """As browsers write it."""
    return filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def encode(parts: Sequence[Sent]) -> bytes:
    body = b""
    for name, filename, content in parts:
        label = "" if filename is None else f'; filename="{quoted(filename)}"'
        head = f'Content-Disposition: form-data; name="{name}"{label}\r\n\r\n'.encode()
        body += b"--" + BOUNDARY + b"\r\n" + head + content + b"\r\n"
    return body + b"--" + BOUNDARY + b"--\r\n"


def request(pieces: Sequence[bytes]) -> Request:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    headers = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def collect(received: Request, limit: int = 10_000) -> list[Sent]:
    found: list[Sent] = []
    async for event in multipart(received, limit, {"file", "archive", "name"}):
        if isinstance(event, Part):
            found.append((event.name, event.filename, b""))
        else:
            name, filename, content = found[-1]
            found[-1] = (name, filename, content + event)
    return found


@st.composite
def cut(draw: st.DrawFn) -> tuple[list[Sent], list[bytes]]:
    """Parts, and the body that holds them in pieces."""
    parts = draw(sent)
    body = encode(parts)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=20)))
    return parts, [body[a:b] for a, b in pairwise([0, *cuts, len(body)])]


def plausible(parts: list[Sent]) -> bool:
    """A boundary inside a part's content is the sender's mistake."""
    return not any(b"\r\n--" + BOUNDARY in b"\r\n" + content for _, _, content in parts)


@given(cut().filter(lambda example: plausible(example[0])))
def test_a_form_comes_out_as_it_went_in(example: tuple[list[Sent], list[bytes]]) -> None:
    parts, pieces = example
    assert asyncio.run(collect(request(pieces))) == parts


@given(cut().filter(lambda example: plausible(example[0])), st.data())
def test_a_form_that_is_cut_off_is_never_taken_for_a_whole_one(
    example: tuple[list[Sent], list[bytes]], data: st.DataObject
) -> None:
    body = b"".join(example[1])
    kept = body[: data.draw(st.integers(0, len(body) - 4))]  # the last two bytes of the boundary's dashes, CR and LF
    with pytest.raises(InvalidInput):
        asyncio.run(collect(request([kept])))


@given(cut().filter(lambda example: plausible(example[0])), st.integers(1, 300))
def test_the_limit_holds_to_the_byte(example: tuple[list[Sent], list[bytes]], limit: int) -> None:
    parts, pieces = example
    if sum(map(len, pieces)) > limit:
        with pytest.raises(TooLarge, match=str(limit)):
            asyncio.run(collect(request(pieces), limit))
    else:
        assert asyncio.run(collect(request(pieces), limit)) == parts


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b'filename="cats/1.jpg"', "cats/1.jpg"),
        (b"filename=cats/1.jpg", "cats/1.jpg"),
        (b'filename="a \\"big\\" cat.jpg"', 'a "big" cat.jpg'),
        (b'filename="a %22big%22 cat.jpg"', 'a "big" cat.jpg'),
        (b'filename="100%25;.jpg"', "100%25;.jpg"),
        ('filename="Kätzchen/1.jpg"'.encode(), "Kätzchen/1.jpg"),
        (b"filename*=utf-8''K%C3%A4tzchen/1.jpg", "Kätzchen/1.jpg"),
        (b"filename=\"K?tzchen/1.jpg\"; filename*=UTF-8'de'K%C3%A4tzchen%2F1.jpg", "Kätzchen/1.jpg"),
        (b"filename*=iso-8859-1''K%E4tzchen/1.jpg", "Kätzchen/1.jpg"),
        (b'filename="cats\\1.jpg"', "cats\\1.jpg"),
    ],
)
def test_filenames_as_clients_write_them(written: bytes, meant: str) -> None:
    head = b'--%s\r\nContent-Type: image/jpeg\r\nContent-Disposition: form-data; name="file"; ' % BOUNDARY
    body = head + written + b"\r\n\r\nx\r\n--" + BOUNDARY + b"--"
    assert asyncio.run(collect(request([body]))) == [("file", meant, b"x")]


@given(sent.map(encode), st.integers(0, 500), st.binary(max_size=20))
def test_a_damaged_form_is_parsed_or_refused_and_nothing_else(body: bytes, at: int, damage: bytes) -> None:
    damaged = body[:at] + damage + body[at + len(damage) :]
    with suppress(InvalidInput):
        asyncio.run(pictures(request([damaged]), limit=10_000, count=3))
