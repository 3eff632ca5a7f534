"""Which form of an answer a caller prefers."""

import pytest
from fastapi import Request

from app.accept import preferred

JSON, NPY = "application/json", "application/x-npy"


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ([], JSON),
        ([""], JSON),
        (["*/*"], JSON),
        (["application/*"], JSON),
        (["text/html, image/png"], JSON),
        ([JSON], JSON),
        ([NPY], NPY),
        (["Application/X-NPY"], NPY),
        ([f"{NPY}, */*"], NPY),
        ([f"*/*, {NPY}"], NPY),
        ([f"{NPY}, {JSON}"], JSON),
        ([f"{JSON};q=0.9, {NPY}"], NPY),
        ([f"{JSON}, {NPY};q=0.9"], JSON),
        ([f"{NPY};q=0.2, {JSON};q=0.1"], NPY),
        ([f"{NPY};q=0.2, */*;q=0.5"], JSON),
        ([f"{NPY} ; Q=0.5 , text/html"], NPY),
        ([f"{JSON};q=0, */*"], NPY),
        ([f"{NPY};q=0"], JSON),
        ([f"{JSON};q=0, {NPY};q=0"], JSON),
        ([f"{NPY};q=much, {JSON};q=0.001"], JSON),
        ([f"{NPY};q=nan"], JSON),
        ([JSON + ";q=0.5", NPY], NPY),
        ([",;,="], JSON),
    ],
)
def test_the_form_with_the_highest_quality(headers: list[str], form: str) -> None:
    raw = [(b"accept", header.encode()) for header in headers]
    assert preferred(Request({"type": "http", "headers": raw}), (JSON, NPY)) == form
