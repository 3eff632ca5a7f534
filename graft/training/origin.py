"""The version that a training starts from: what its recipe takes over, and whether the two fit. No TensorFlow."""

from typing import Any, Final

from graft.errors import InvalidFields
from graft.registry import ModelCard
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.vgg16.layers import position
from graft.vgg16.weight_files import TRUNK_DIGEST

# Its weights mean something only together with these. Another dropout or interpolation is another training.
_KEPT: Final = ("pooling", "hidden_units", "batch_norm", "preprocessing")


def continued(request: RecipeRequest, card: ModelCard) -> RecipeRequest:
    """The whole recipe: what is not asked for of layers and pictures is as the version has it.

    Raises InvalidFields where what is asked for does not fit the version.
    """
    recipe = request.resolve(_inherited(card))
    check_fits(recipe, card)
    return RecipeRequest.of(recipe)


def check_fits(recipe: Recipe, card: ModelCard) -> None:
    """Raises InvalidFields for a recipe that cannot start from the version, naming the field."""
    if card.trunk_digest != TRUNK_DIGEST:
        raise InvalidFields(
            f"recipe.init must name a version on this service's trunk, {TRUNK_DIGEST}; {recipe.init} is on "
            f"{card.trunk_digest}. Train it anew."
        )
    theirs, ours = _inherited(card), recipe.model_dump(mode="json")
    for field in _KEPT:
        if ours[field] != theirs[field]:
            raise InvalidFields(
                f"recipe.{field} must be {theirs[field]!r}, which init {recipe.init} was trained with; received "
                f"{ours[field]!r}. Leave it out."
            )
    if position(recipe.cut) > position(card.cut):
        raise InvalidFields(
            f"recipe.cut must be {card.cut} or an earlier layer, as init {recipe.init} has changed those after it; "
            f"received {recipe.cut}. Leave it out."
        )


def _inherited(card: ModelCard) -> dict[str, Any]:
    head = card.head
    return {
        "cut": card.cut,
        "pooling": head.pooling,
        "hidden_units": list(head.hidden_units),
        "batch_norm": head.batch_norm,
        "dropout": head.dropout,
        "preprocessing": card.input.preprocessing,
        "interpolation": card.input.interpolation,
    }
