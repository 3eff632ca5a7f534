"""What exists, and what a version says of itself."""

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from graft.errors import NotFound
from graft.registry import Registry, write_version
from graft.registry.manifest import MANIFEST
from tests.graft.registry.versions import FILES, card_of, files_under, publish, weights_of


class TestReading:
    def test_what_was_published_comes_back(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 1)
        card, weights = registry.load("signs", 1)
        assert card == registry.card("signs", 1) == card_of("signs", 1, "job_1")
        assert {name: array.tolist() for name, array in weights.items()} == {
            name: array.tolist() for name, array in weights_of(1).items()
        }
        assert registry.file("signs", 1, "report/confusion_matrix.png").read_bytes().startswith(b"\x89PNG")
        metrics = json.loads(registry.file("signs", 1, "metrics.json").read_text())
        assert metrics == {"history": {"loss": [0.5, None]}, "test": None}
        assert files_under(root / "signs" / "1") == {*FILES, MANIFEST}
        assert files_under(root / ".staging") == set()

    def test_weights_with_strides_are_written_in_order(self, registry: Registry) -> None:
        staged = registry.stage("signs")
        turned = np.arange(1536, dtype=np.float64).reshape(3, 512).T
        views = {"predictions/kernel": turned, "predictions/bias": np.ones(6)[::2]}
        write_version(staged, card_of("signs", 1, "job_1"), views, {}, {})
        registry.publish(staged, "signs", 1)
        _, weights = registry.load("signs", 1)
        assert weights["predictions/kernel"].dtype == np.float32
        np.testing.assert_array_equal(weights["predictions/kernel"], turned)
        np.testing.assert_array_equal(weights["predictions/bias"], [1, 1, 1])

    def test_weights_must_be_those_of_the_card(self, registry: Registry) -> None:
        staged, card = registry.stage("signs"), card_of("signs", 1, "job_1")
        with pytest.raises(ValueError, match="The card's parameters"):
            write_version(staged, card, {"predictions/kernel": np.zeros((512, 3))}, {}, {})

    def test_another_process_sees_it_at_once(self, registry: Registry, root: Path, engine: Engine) -> None:
        elsewhere = Registry(root, engine)
        assert elsewhere.models() == []
        publish(registry, "signs", 1, 2)
        publish(registry, "animals", 1)
        assert elsewhere.models() == ["animals", "signs"]
        assert elsewhere.versions("signs") == [1, 2]
        assert elsewhere.latest("signs") == 2

    def test_versions_are_ordered_as_numbers(self, registry: Registry, root: Path) -> None:
        publish(registry, "signs", 2, 10, 9)
        (root / "signs" / "notes.txt").write_text("not a version")
        (root / "signs" / "007").mkdir()
        assert registry.versions("signs") == [2, 9, 10]
        assert registry.latest("signs") == 10

    @pytest.mark.parametrize("name", ["../2/model.json", "/etc/passwd", "report", "manifest.json", "", "./model.json"])
    def test_only_listed_files_are_given_out(self, registry: Registry, name: str) -> None:
        publish(registry, "signs", 1, 2)
        with pytest.raises(NotFound, match=r"has the files metrics\.json, model\.json"):
            registry.file("signs", 1, name)

    def test_what_is_not_there_is_said_with_what_is(self, registry: Registry) -> None:
        publish(registry, "signs", 1, 2)
        with pytest.raises(NotFound, match=r"there are vgg16, signs; received 'sings'"):
            registry.resolve("sings")
        with pytest.raises(NotFound, match=r"'signs' has 1, 2; received version 3"):
            registry.resolve("signs", version=3)
        with pytest.raises(NotFound, match=r"'signs' has stable; received 'canary'"):
            registry.resolve("signs", alias="canary")
