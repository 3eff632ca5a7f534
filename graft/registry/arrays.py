"""The arrays of a safetensors file, as views of bytes that were read and checked.

The library's `load` copies every array once more, which costs as much as the file's checksum does.
"""

from collections.abc import Iterable
from math import prod
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from graft.registry.card import Parameter

_LENGTH = 8  # bytes, little-endian, that say how long the header is
_FLOAT = np.dtype("<f4")


class _Tensor(BaseModel):
    """An entry of the header; data_offsets: its first byte and the one after its last, counted after the header."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    dtype: Literal["F32"]
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


_HEADER = TypeAdapter(dict[str, _Tensor])


def read_arrays(data: memoryview, parameters: Iterable[Parameter]) -> dict[str, np.ndarray]:
    """Parameter name -> float32 array, read-only, which keeps `data` in memory.

    Raises ValueError unless the file holds the parameters and nothing else, each in its shape.
    """
    start = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    try:
        header = _HEADER.validate_json(bytes(data[_LENGTH:start]))
    except ValidationError as error:
        raise ValueError("its header is none of a safetensors file with float32 arrays") from error
    expected = {parameter.name: parameter.shape for parameter in parameters}
    found = {name: tensor.shape for name, tensor in header.items()}
    if found != expected:
        raise ValueError(f"the card's parameters are {_shapes(expected)}; it holds {_shapes(found)}")
    arrays = {}
    for name, tensor in header.items():
        first, end = tensor.data_offsets
        if not 0 <= first <= end <= len(data) - start or end - first != prod(tensor.shape) * _FLOAT.itemsize:
            raise ValueError(f"{name} of shape {tensor.shape} cannot lie at the bytes {first} to {end}")
        array = np.frombuffer(data, _FLOAT, prod(tensor.shape), start + first)
        arrays[name] = array.reshape(tensor.shape)
    return arrays


def _shapes(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in sorted(shapes.items())) or "none"
