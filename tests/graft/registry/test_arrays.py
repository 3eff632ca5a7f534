"""Arrays as safetensors' own reader gives them, and none out of bytes that are no such file."""

import json
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load, save

from graft.registry import Parameter
from graft.registry.arrays import read_arrays

shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)
weights = st.dictionaries(
    st.text("ab/_1", min_size=1, max_size=8),
    shapes.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(width=32))),
    max_size=5,
)


def parameters_of(weights: dict[str, np.ndarray]) -> list[Parameter]:
    return [Parameter(name=n, shape=a.shape, trainable=True, count=prod(a.shape)) for n, a in weights.items()]


def packed(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@given(weights)
def test_what_was_saved_is_read_as_the_library_does(weights: dict[str, np.ndarray]) -> None:
    data = save(weights)
    ours, theirs = read_arrays(memoryview(data), parameters_of(weights)), load(data)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert (array.dtype.name, array.shape) == ("float32", theirs[name].shape)
        assert array.tobytes() == theirs[name].tobytes()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "its header is none"),
        (b"\xff" * 40, "its header is none"),
        (packed(b"[" * 100_000), "its header is none"),
        (packed([]), "its header is none"),
        (packed({"a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}}, bytes(16)), "its header is none"),
        (packed({}), "the card's parameters are a 2; it holds none"),
        (packed({"b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(8)), "a 2; it holds b 2"),
        (packed({"a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}}, bytes(8)), "a 2; it holds a 2x1"),
        (packed({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(8)), "cannot lie at the bytes 0"),
        (packed({"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, bytes(8)), "cannot lie at the bytes 4"),
        (packed({"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}, bytes(8)), "cannot lie at the bytes"),
    ],
)
def test_what_is_no_such_file_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_arrays(memoryview(data), [Parameter(name="a", shape=(2,), trainable=True, count=2)])
