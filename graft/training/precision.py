"""At which precision a training runs."""

from collections.abc import Collection

from graft.errors import InvalidInput
from graft.types import Precision, PrecisionSetting


def settled(asked: PrecisionSetting, setting: PrecisionSetting, native: Collection[Precision]) -> Precision:
    """asked: a recipe's; setting: the service's, for a recipe that leaves it open; native: what the hardware has.

    As in serving, a setting that the hardware lacks comes to float32. Raises InvalidInput for a recipe's that it lacks.
    """
    if asked == "auto":
        wanted = "bfloat16" if setting == "auto" else setting
        return wanted if wanted in native else "float32"
    if asked not in native:
        raise InvalidInput(
            f"recipe.precision must be one that the hardware computes with, {' or '.join(native)}; received {asked}. "
            "Leave it out, or train on other hardware."
        )
    return asked
