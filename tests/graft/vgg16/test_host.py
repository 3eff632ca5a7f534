"""Tensors in memory that is theirs alone."""

import gc
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from graft.types import Precision
from graft.vgg16.host import host_tensors

MAPPED = Path("/proc/self/maps")


def address(tensor: tf.Tensor) -> int:
    bits = tensor if tensor.dtype == tf.float32 else tf.bitcast(tensor, tf.uint16)
    return int(np.from_dlpack(bits).ctypes.data)


def test_each_array_comes_at_its_precision() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 5), (7,), (2, 3, 1, 4), (33,))]
    precisions: list[Precision] = ["float32", "bfloat16", "bfloat16", "float32"]
    tensors = host_tensors(list(zip(arrays, precisions, strict=True)))
    for array, precision, tensor in zip(arrays, precisions, tensors, strict=True):
        assert tensor.dtype.name == precision
        np.testing.assert_array_equal(tf.cast(tensor, tf.float32), tf.cast(tf.constant(array, precision), tf.float32))


def test_they_lie_one_behind_the_other_where_tensorflow_can_use_them() -> None:
    arrays = [np.ones(17, np.float32), np.ones(100, np.float32), np.ones(3, np.float32)]
    first, second, third = map(
        address, host_tensors([(arrays[0], "float32"), (arrays[1], "bfloat16"), (arrays[2], "float32")])
    )
    assert first % 64 == 0
    assert (second - first, third - second) == (128, 256)


def test_they_are_copies() -> None:
    array = np.ones(100, np.float32)
    (tensor,) = host_tensors([(array, "float32")])
    array[:] = 2
    assert tf.reduce_max(tensor) == 1


@pytest.mark.skipif(not MAPPED.exists(), reason="The system says nowhere what memory is in use.")
def test_the_memory_is_given_back() -> None:
    def mapped(at: int) -> bool:
        ranges = (line.split(maxsplit=1)[0].split("-") for line in MAPPED.read_text().splitlines())
        return any(int(start, 16) <= at < int(end, 16) for start, end in ranges)

    tensors = host_tensors([(np.ones(10_000_000, np.float32), "float32"), (np.ones(10, np.float32), "bfloat16")])
    tf.matmul(tf.reshape(tensors[0], (10, -1)), tf.reshape(tensors[0], (-1, 10)))
    middle = address(tensors[0]) + 20_000_000
    assert mapped(middle)
    del tensors
    gc.collect()
    assert not mapped(middle)
