"""The devices that the engine runs on, and what they do by themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from graft.types import Precision

CPUINFO = Path("/proc/cpuinfo")  # Linux; on another system nothing is known of the processor
# Ampere: the first NVIDIA generation that multiplies bfloat16.
FIRST_BFLOAT16_CAPABILITY = (8, 0)


def devices() -> tuple[str, ...]:
    """Every GPU, `GPU:0` and on, as `tf.device` takes them; without one the processor, `CPU:0`."""
    gpus = tf.config.list_physical_devices("GPU")
    return tuple(f"GPU:{i}" for i in range(len(gpus))) or ("CPU:0",)


def native_precisions() -> tuple[Precision, ...]:
    """The precisions that every one of `devices()` computes in hardware: float32, and perhaps bfloat16."""
    if gpus := tf.config.list_physical_devices("GPU"):
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        native = all(multiplies_bfloat16(each.get("compute_capability")) for each in details)
    else:
        native = CPUINFO.is_file() and has_bfloat16(CPUINFO.read_text())
    return ("float32", "bfloat16") if native else ("float32",)


def has_bfloat16(cpuinfo: str) -> bool:
    """Whether the processor that /proc/cpuinfo describes multiplies bfloat16, in a way that TensorFlow makes use of."""
    flags = next((line.partition(":")[2] for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags.split())


def multiplies_bfloat16(compute_capability: tuple[int, int] | None) -> bool:
    """Whether a GPU of this compute capability does; None: one that has none, as it is not NVIDIA's."""
    return compute_capability is not None and compute_capability >= FIRST_BFLOAT16_CAPABILITY


def filled(features: npt.NDArray[Any], device: str) -> npt.NDArray[Any]:
    """The rows that a device is given: on a GPU, zeros after them up to the next power of two; on a CPU as they are.

    A GPU looks for its fastest kernels anew for each number of rows that it meets; on a CPU zeros cost as much as rows.
    """
    rows = len(features)
    if device.startswith("CPU"):
        return features
    out = np.zeros((1 << (rows - 1).bit_length(), *features.shape[1:]), features.dtype)
    out[:rows] = features
    return out
