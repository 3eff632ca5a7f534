"""Which hardware multiplies bfloat16. The flags are those of real processors, those that say nothing here left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.vgg16.devices import devices, filled, has_bfloat16, multiplies_bfloat16, native_precisions

ZEN_3 = """processor	: 0
vendor_id	: AuthenticAMD
model name	: AMD EPYC 7763 64-Core Processor
flags		: fpu sse4_1 sse4_2 movbe avx f16c rdrand bmi1 avx2 smep bmi2 erms invpcid sha_ni vaes vpclmulqdq rdpid fsrm
bugs		: sysret_ss_attrs spectre_v1 spectre_v2 spec_store_bypass
"""
CASCADE_LAKE = """processor	: 0
model name	: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
flags		: fpu fma avx avx2 avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni arch_capabilities
"""
ZEN_4 = """processor	: 0
model name	: AMD EPYC 9R14
flags		: fpu fma avx avx2 avx512f avx512dq avx512ifma avx512bw avx512vl avx512_bf16 avx512vbmi avx512_vnni
"""
SAPPHIRE_RAPIDS = """processor	: 0
model name	: Intel(R) Xeon(R) Platinum 8488C
flags		: fpu fma avx avx2 avx512f avx_vnni avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8 flush_l1d

processor	: 1
model name	: Intel(R) Xeon(R) Platinum 8488C
flags		: fpu fma avx avx2 avx512f avx_vnni avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8 flush_l1d
"""
GRAVITON_3 = """processor	: 0
BogoMIPS	: 2100.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 asimdhp cpuid asimdrdm dcpop sve asimdfhm svebf16 i8mm bf16
"""


@pytest.mark.parametrize(
    ("cpuinfo", "native"),
    [(ZEN_3, False), (CASCADE_LAKE, False), (ZEN_4, True), (SAPPHIRE_RAPIDS, True), (GRAVITON_3, False), ("", False)],
    ids=["Zen 3", "Cascade Lake", "Zen 4", "Sapphire Rapids", "Graviton 3", "nothing"],
)
def test_a_processor_is_known_by_its_flags(cpuinfo: str, native: bool) -> None:
    assert has_bfloat16(cpuinfo) is native


@pytest.mark.parametrize(
    ("capability", "native"),
    [((7, 0), False), ((7, 5), False), ((8, 0), True), ((8, 6), True), ((9, 0), True), ((12, 0), True), (None, False)],
)
def test_a_gpu_is_known_by_its_compute_capability(capability: tuple[int, int] | None, native: bool) -> None:
    assert multiplies_bfloat16(capability) is native


def test_this_machine_has_a_device_and_float32() -> None:
    found = devices()
    assert found == ("CPU:0",) or all(name == f"GPU:{i}" for i, name in enumerate(found))
    assert native_precisions()[0] == "float32"


@given(st.integers(1, 200))
def test_a_gpu_meets_powers_of_two_alone(rows: int) -> None:
    features = np.arange(1, 1 + 2 * rows, dtype=np.float32).reshape(rows, 2)
    out = filled(features, "GPU:1")
    assert rows <= len(out) < 2 * rows
    assert len(out).bit_count() == 1
    np.testing.assert_array_equal(out[:rows], features)
    assert not out[rows:].any()
    assert filled(features, "CPU:0") is features
