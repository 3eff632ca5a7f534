"""What a training costs on this machine, in seconds, from measured rates. Pure arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass

from graft.training.recipe import Recipe
from graft.training.sampling import Batches
from graft.vgg16.layers import INPUT, LAST, multiply_adds

STEP_PASSES = 3  # a training step's multiply-adds against its forward pass's: the gradients by inputs and by weights


@dataclass(frozen=True)
class Rates:
    """Measured on this machine at the recipe's precision. trunk, step: multiply-adds a second, of the frozen trunk and
    of the convolutions in a training step; decode: seconds a picture; head: seconds of a step of the head alone.
    """

    trunk: float
    step: float
    decode: float
    head: float


@dataclass(frozen=True)
class Cost:
    """Seconds: of extraction before the first epoch, of an epoch with its validation, of the last evaluation."""

    extraction: float
    epoch: float
    evaluation: float

    def of(self, epochs: int) -> float:
        """Of the whole training."""
        return self.extraction + epochs * self.epoch + self.evaluation

    def epochs_within(self, seconds: float) -> int:
        return max(0, int((seconds - self.extraction - self.evaluation) / max(self.epoch, 1e-9)))


def cost(recipe: Recipe, pictures: Mapping[str, int], lacking: int, kept: float, rates: Rates) -> Cost:
    """`pictures` by split. lacking: how many pass through the trunk before the first epoch, each view for itself; kept:
    the share of features that is then read, epoch after epoch, while the others are computed again.
    """
    batches = Batches(pictures["train"], recipe.batch_size, recipe.steps_per_epoch, recipe.seed, 0)
    drawn = recipe.steps_per_epoch * recipe.batch_size if recipe.steps_per_epoch else pictures["train"]
    validated = pictures["validation"]
    if validated and recipe.validation_steps:
        validated = recipe.validation_steps * recipe.validation_batch_size
    extract = rates.decode + multiply_adds(INPUT, recipe.cut) / rates.trunk
    tail = multiply_adds(recipe.cut, LAST)
    learn, infer = STEP_PASSES * tail / rates.step, tail / rates.trunk
    again = (1 - kept) * extract
    fresh = extract if recipe.augmentation and recipe.augmentation.views == 0 else again
    return Cost(
        extraction=lacking * extract,
        epoch=drawn * (fresh + learn) + validated * (again + infer) + batches.steps * rates.head,
        evaluation=(pictures["validation"] + pictures["test"]) * (again + infer),
    )
