"""The event stream's parser, on streams in any pieces."""

import json
from collections.abc import AsyncIterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from graft.client.sse import Message, messages
from graft.client.wires import iterate


async def pieces(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def read(*parts: bytes) -> list[Message]:
    return list(iterate(messages(pieces(parts))))


TEXTS = st.lists(st.text(max_size=12), min_size=1, max_size=3)


@given(TEXTS, st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 30))
def test_messages_come_out_however_the_bytes_were_cut(texts: list[str], end: str, size: int) -> None:
    lines = [
        f": a comment{end}id: {i}{end}event: e{i}{end}data: {json.dumps(text)}{end}{end}"
        for i, text in enumerate(texts)
    ]
    # What follows shows that the last line end was one.
    stream = "".join([*lines, f":{end}"]).encode()
    cut = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert read(*cut) == [Message(f"e{i}", json.dumps(text)) for i, text in enumerate(texts)]


def test_lines_of_data_are_joined_and_half_a_message_is_none() -> None:
    assert read(b"data: a\ndata:b\n\nretry: 1\n\n", b"event: x\ndata: c\n") == [Message("message", "a\nb")]
    assert read("data: a\u2028b\n\n".encode()) == [Message("message", "a\u2028b")]
