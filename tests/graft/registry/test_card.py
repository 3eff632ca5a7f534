"""What a name may be, and which cards are read."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from graft.errors import Conflict, InvalidInput, NotFound
from graft.registry import ModelCard, Registry, check_name, check_trainable, layer_table
from tests.graft.registry.versions import card_of


class TestNames:
    @given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True))
    def test_a_good_name_is_returned(self, name: str) -> None:
        assert check_name(name) == name

    @pytest.mark.parametrize("name", ["", "Signs", ".signs", "-signs", "a/b", "..", "a b", "signs\n", "é", "a" * 64])
    def test_a_bad_name_is_refused_and_reaches_no_folder(self, registry: Registry, root: Path, name: str) -> None:
        with pytest.raises(InvalidInput, match="A name has 1 to 63"):
            check_name(name)
        with pytest.raises(InvalidInput):
            registry.stage(name)
        assert registry.versions(name) == []
        for call in (registry.card, registry.load, registry.verify):
            with pytest.raises(NotFound):
                call(name, 1)
        assert not root.exists()

    def test_the_built_in_model_is_left_alone(self, registry: Registry, root: Path) -> None:
        calls: list[Callable[[], object]] = [
            lambda: check_trainable("vgg16"),
            lambda: registry.stage("vgg16"),
            lambda: registry.publish(root, "vgg16", 1),
            lambda: registry.delete("vgg16"),
            lambda: registry.set_alias("vgg16", "canary", 1),
        ]
        for call in calls:
            with pytest.raises(Conflict, match="built in"):
                call()


class TestCards:
    def test_one_from_before_there_were_temperatures_and_layer_tables_is_read(self) -> None:
        written = card_of("signs", 1, "job_a").model_dump(mode="json", exclude={"temperature", "layers"})
        card = ModelCard.model_validate(written)
        assert (card.temperature, card.layers) == (1.0, ())

    @pytest.mark.parametrize("temperature", [0, -1, float("inf"), float("nan")])
    def test_a_temperature_divides(self, temperature: float) -> None:
        written = card_of("signs", 1, "job_a").model_dump() | {"temperature": temperature}
        with pytest.raises(ValidationError, match="temperature"):
            ModelCard.model_validate(written)

    def test_its_layers_come_back_as_they_were(self) -> None:
        card = card_of("signs", 1, "job_a")
        table = layer_table(card.cut, card.head)
        written = card.model_copy(update={"layers": table}).model_dump_json()
        assert ModelCard.model_validate_json(written).layers == table
