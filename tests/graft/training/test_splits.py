"""Splits on their features, through a trunk that costs nothing."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from graft.database import connect, migrate
from graft.datasets import Datasets, Manifest
from graft.settings import Settings
from graft.stores import open_stores
from graft.training.features import FeatureKind, FeatureStore
from graft.training.recipe import Augmentation
from graft.training.splits import SplitFeatures, open_splits
from graft.types import InputKey
from tests.drawing import folder
from tests.graft.datasets.filling import create
from tests.graft.training.features.pictures import Trunk
from tests.monitors import Recorder

KIND = FeatureKind(InputKey(preprocessing="none"), "d9a2", "block5_pool", "avg")
DARKER = Augmentation(brightness=0.3, views=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Datasets, str, Manifest]]:
    """Twelve training pictures of three classes, three for validation, none for test."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    engine = connect(settings.sqlalchemy_url)
    migrate(engine)
    datasets = open_stores(settings, engine).datasets
    created = create(datasets, {**folder(4, split="train"), **folder(1, split="valid", start=10)}, name="shapes")
    revision = datasets.validate(created.id, Recorder()).revision
    assert revision is not None
    yield datasets, created.id, datasets.manifest(created.id, revision)
    engine.dispose()


class Opening:
    """What is opened, and what went through its trunk."""

    def __init__(self, data: tuple[Datasets, str, Manifest], root: Path) -> None:
        self._data, self._root = data, root
        self.trunk, self.monitor, self.made = Trunk(), Recorder(), 0

    def splits(
        self, augmentation: Augmentation | None = None, seed: int = 0
    ) -> AbstractContextManager[Mapping[str, SplitFeatures]]:
        store = FeatureStore(self._root, 10**9)
        return open_splits(*self._data, store, KIND, self._make, self.monitor, augmentation, seed)

    def _make(self) -> Trunk:
        self.made += 1
        return self.trunk


def rows(split: SplitFeatures, epoch: int = 0) -> list[float]:
    return split.features(np.arange(len(split)), epoch)[:, 0].tolist()  # type: ignore[no-any-return]


def means(data: tuple[Datasets, str, Manifest], split: str) -> list[float]:
    datasets, dataset, manifest = data
    pictures = [p for p in manifest.pictures if p.split == split]
    return [datasets.pixels(dataset, p.sha256, "nearest").mean(dtype=np.float32) for p in pictures]


def test_each_split_has_its_pictures_and_labels(data: tuple[Datasets, str, Manifest], tmp_path: Path) -> None:
    with (opening := Opening(data, tmp_path)).splits() as splits:
        assert {name: len(split) for name, split in splits.items()} == {"train": 12, "validation": 3, "test": 0}
        for name in ("train", "validation"):
            assert rows(splits[name]) == rows(splits[name], epoch=1) == pytest.approx(means(data, name))
            assert splits[name].labels.tolist() == [p.label for p in data[2].pictures if p.split == name]
        np.testing.assert_array_equal(
            splits["train"].features(np.array([7, 2, 7]), 0)[:, 5], np.array(rows(splits["train"]))[[7, 2, 7]]
        )
    assert (len(opening.trunk.seen), opening.made) == (15, 1)
    with (again := Opening(data, tmp_path)).splits() as splits:
        rows(splits["train"])
    assert again.made == 0


def test_epochs_draw_among_kept_views_and_validation_stays(
    data: tuple[Datasets, str, Manifest], tmp_path: Path
) -> None:
    with (opening := Opening(data, tmp_path)).splits(DARKER, seed=5) as splits:
        assert (len(opening.trunk.seen), opening.made) == (3 * 12 + 3, 1)
        epochs = [rows(splits["train"], epoch) for epoch in range(8)]
        assert rows(splits["train"], 3) == epochs[3]
        assert rows(splits["validation"]) == pytest.approx(means(data, "validation"))
        seen = [set(of_picture) for of_picture in zip(*epochs, strict=True)]
        assert max(map(len, seen)) <= 3 < len(set().union(*seen))
        assert len({tuple(epoch) for epoch in epochs}) > 1
    assert len(opening.trunk.seen) == 3 * 12 + 3
    with Opening(data, tmp_path).splits(DARKER, seed=6) as other:
        assert rows(other["train"], 3) != epochs[3]


def test_without_views_every_epoch_makes_new_ones(data: tuple[Datasets, str, Manifest], tmp_path: Path) -> None:
    fresh = DARKER.model_copy(update={"views": 0})
    with (opening := Opening(data, tmp_path)).splits(fresh, seed=5) as splits:
        assert len(opening.trunk.seen) == 3
        first, second = rows(splits["train"], 0), rows(splits["train"], 1)
        assert len(opening.trunk.seen) == 3 + 2 * 12
        assert first != second
        assert rows(splits["train"], 0) == first
    assert opening.made == 1
    assert opening.monitor.events[-1][1]["streamed"] == 12


def test_rows_may_be_read_from_two_threads(data: tuple[Datasets, str, Manifest], tmp_path: Path) -> None:
    with Opening(data, tmp_path).splits(DARKER.model_copy(update={"views": 0})) as splits:
        found: list[list[float]] = []
        threads = [threading.Thread(target=lambda: found.append(rows(splits["train"], 4))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found[0] == found[1] == rows(splits["train"], 4)
