"""docs/recipes.md says what is there."""

import json
import re
from pathlib import Path

import pytest

from graft.training.presets import PRESETS, RecipeRequest
from graft.training.recipe import Augmentation, Recipe

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text()


def table(section: str) -> dict[str, list[str]]:
    """The cells of a section's table, by the name in each row's first one."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    return {name: [cell.strip("`") for cell in re.split(r" \| ", cells)] for name, cells in rows}


def test_every_field_is_explained_in_the_order_of_a_recipe() -> None:
    assert list(table("Fields")) == list(Recipe.model_fields)
    assert list(table("Augmentation")) == list(Augmentation.model_fields)
    assert all(len(cells) == 2 for cells in table("Fields").values())


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_what_the_page_says(preset: str) -> None:
    column = list(PRESETS).index(preset)  # type: ignore[arg-type]
    said = {name: cells[column] for name, cells in table("Presets").items()}
    recipe = RecipeRequest.parse(preset).resolve().model_dump(mode="json", exclude={"preset"})
    assert said.keys() == recipe.keys()
    written = {name: json.loads(value) for name, value in said.items() if value != "planned"}
    assert written == {name: recipe[name] for name in written}
    assert preset == "auto" or written.keys() == recipe.keys()


def test_what_the_page_shows_can_be_asked_for() -> None:
    shown = re.findall(r"`(\{\"(?:preset|init|augmentation)\".*?\})`|^(\{.*\})$", PAGE, re.MULTILINE)
    assert len(shown) == 3
    for inline, block in shown:
        RecipeRequest.parse(json.loads(inline or block))
