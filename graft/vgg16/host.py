"""Weights in the processor's memory: as much as they are, and given back when they go.

TensorFlow's own allocator does neither (docs/decisions/0015).
"""

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from graft.types import Precision

_ALIGNMENT = 64  # bytes; TensorFlow copies what does not begin at a multiple


def host_tensors(arrays: Sequence[tuple[npt.NDArray[np.float32], Precision]]) -> list[Any]:
    """Tensors with copies of the arrays, each at its precision, in one piece of memory that goes with the last one."""
    dtypes = [tf.as_dtype(precision) for _, precision in arrays]
    sizes = [array.size * dtype.size for (array, _), dtype in zip(arrays, dtypes, strict=True)]
    ends = np.cumsum([-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes])
    pages = mmap.mmap(-1, int(ends[-1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory = np.frombuffer(pages, np.uint8)
    tensors = []
    for (array, _), dtype, size, end in zip(arrays, dtypes, sizes, ends, strict=True):
        start = end + -size // _ALIGNMENT * _ALIGNMENT
        copy = memory[start : start + size].view(dtype.as_numpy_dtype).reshape(array.shape)
        copy[...] = array
        tensors.append(_tensor(copy, dtype))
    return tensors


def _tensor(array: np.ndarray, dtype: Any) -> Any:
    """The same memory as a tensor. DLPack takes no bfloat16 from numpy, so that goes as the 16 bits that it is."""
    if dtype == tf.float32:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.bitcast(tf.experimental.dlpack.from_dlpack(array.view(np.uint16).__dlpack__()), dtype)
