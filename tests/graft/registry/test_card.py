"""What a name may be."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.errors import Conflict, InvalidInput, NotFound
from graft.registry import Registry, check_name, check_trainable


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
