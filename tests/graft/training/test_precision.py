import pytest

from graft.errors import InvalidInput
from graft.training.precision import settled
from graft.types import Precision, PrecisionSetting

BOTH: tuple[Precision, ...] = ("float32", "bfloat16")
ONE: tuple[Precision, ...] = ("float32",)


@pytest.mark.parametrize(
    ("asked", "setting", "native", "precision"),
    [
        ("auto", "auto", BOTH, "bfloat16"),
        ("auto", "auto", ONE, "float32"),
        ("auto", "float32", BOTH, "float32"),
        ("auto", "bfloat16", ONE, "float32"),
        ("float32", "bfloat16", BOTH, "float32"),
        ("bfloat16", "float32", BOTH, "bfloat16"),
    ],
)
def test_the_recipe_s_goes_before_the_service_s(
    asked: PrecisionSetting, setting: PrecisionSetting, native: tuple[Precision, ...], precision: Precision
) -> None:
    assert settled(asked, setting, native) == precision


def test_one_that_the_hardware_lacks_is_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="computes with, float32; received bfloat16"):
        settled("bfloat16", "auto", ONE)
