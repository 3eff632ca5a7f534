"""A whole plan on drawn pictures, with a trunk that costs nothing and a clock that counts its readings."""

from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from graft.database import connect, migrate
from graft.errors import Interrupted
from graft.settings import Settings
from graft.stores import Stores, open_stores
from graft.training.features import FeatureStore
from graft.training.features.shards import digests_of
from graft.training.plan.planning import TIMED_PICTURES, Plan, plan
from graft.training.plan.sources import Sources, kind_of
from graft.training.presets import RecipeRequest
from graft.vgg16.layers import INPUT
from graft.vgg16.trunk import Features
from tests.drawing import folder
from tests.graft.datasets.filling import create
from tests.monitors import Recorder
from tests.trunks import TinyTrunk

BUDGET = 2**30
TIMINGS = 3  # of one thing: a first run, and two that count


class Counting(TinyTrunk):
    """How many pictures went how far."""

    def __init__(self) -> None:
        super().__init__("float32", "CPU:0")
        self.pictures = 0

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        self.pictures += len(pictures) if set(cuts) != {INPUT} else 0
        return super().run(pictures, start, cuts)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    engine = connect(settings.sqlalchemy_url)
    migrate(engine)
    yield open_stores(settings, engine)
    engine.dispose()


@pytest.fixture(scope="module")
def dataset(stores: Stores) -> tuple[str, str]:
    """Thirty training pictures, one of them twice, and six for validation."""
    files = {**folder(10, split="train"), **folder(2, split="valid", start=20)}
    files["train/discs/copy.jpg"] = files["train/discs/0.jpg"]
    ready = stores.datasets.validate(create(stores.datasets, files, name="shapes").id, Recorder())
    if ready.revision is None:
        raise AssertionError(ready.problems)
    return ready.id, ready.revision


class Run:
    def __init__(self, stores: Stores, dataset: tuple[str, str], root: Path, budget: int = BUDGET) -> None:
        self.trunk, self.monitor = Counting(), Recorder()
        self.sources = Sources(
            stores.datasets,
            dataset[0],
            stores.datasets.manifest(*dataset),
            FeatureStore(root, budget),
            lambda: self.trunk,
            "float32",
        )

    def plan(self, **asked: object) -> Plan:
        clock = count()
        request = RecipeRequest.parse({"preset": "auto", "batch_size": 2, **asked})
        return plan(request, self.sources, self.monitor, lambda: float(next(clock)))

    def kept(self, made: Plan, cut: str) -> int:
        """How many of the training pictures have what a training from this cut would need."""
        recipe = next(c.recipe for c in made.choice.candidates if c.cut == cut).at("float32")
        digests = np.unique(digests_of([p.sha256 for p in self.sources.manifest.of("train")]))
        kind = kind_of(recipe)
        with self.sources.store.open([kind], digests) as kept:
            return int(kept.has(kind).sum())


def test_one_pass_gives_the_probes_and_the_training_their_features(
    stores: Stores, dataset: tuple[str, str], tmp_path: Path
) -> None:
    run = Run(stores, dataset, tmp_path)
    made = run.plan()
    assert made.sampled == 30
    assert run.trunk.pictures == 30 + TIMINGS * TIMED_PICTURES
    assert run.kept(made, "block4_pool") == run.kept(made, "block5_pool") == 30
    assert run.kept(made, "block3_pool") == 0
    assert [row.probe is not None for row in made.choice.candidates] == [True] * 3 + [False] * 3
    extraction = {row.cut: row.cost.extraction for row in made.choice.candidates}
    assert extraction["block4_pool"] < extraction["block3_pool"] / 3  # six pictures of 36
    assert "planning" in {progress.phase for progress in run.monitor.reports}


def test_a_plan_of_the_same_pictures_computes_none_of_them_again(
    stores: Stores, dataset: tuple[str, str], tmp_path: Path
) -> None:
    first = Run(stores, dataset, tmp_path).plan()
    run = Run(stores, dataset, tmp_path)
    again = run.plan()
    assert run.trunk.pictures == TIMINGS * TIMED_PICTURES
    assert again.recipe == first.recipe


def test_with_a_cut_given_nothing_is_extracted(stores: Stores, dataset: tuple[str, str], tmp_path: Path) -> None:
    run = Run(stores, dataset, tmp_path)
    made = run.plan(cut="block5_conv3")
    assert made.recipe.cut == "block5_conv3"
    assert made.sampled == 0
    assert run.trunk.pictures == TIMINGS * TIMED_PICTURES


@pytest.mark.parametrize(("budget", "asked"), [(10_000_000, {}), (BUDGET, {"augmentation": {"flip": "horizontal"}})])
def test_what_the_training_may_not_use_is_not_kept(
    stores: Stores, dataset: tuple[str, str], tmp_path: Path, budget: int, asked: dict[str, object]
) -> None:
    """Rows of block4_pool take 400 KB at float32."""
    run = Run(stores, dataset, tmp_path, budget)
    made = run.plan(**asked)
    assert made.sampled == 30
    assert run.kept(made, "block4_pool") == 0


def test_a_plan_says_itself_as_json(stores: Stores, dataset: tuple[str, str], tmp_path: Path) -> None:
    said = Run(stores, dataset, tmp_path).plan(time_budget=900).as_dict()
    assert said["recipe"]["precision"] == "float32"
    assert not RecipeRequest.parse(said["recipe"]).open
    assert said["pictures"] == {"train": 31, "validation": 6, "test": 0}
    assert said["classes"] == 3
    assert said["cut"] in [row["cut"] for row in said["candidates"]]
    assert all(isinstance(reason, str) and reason.endswith(".") for reason in said["reasons"])


def test_a_stop_is_heard(stores: Stores, dataset: tuple[str, str], tmp_path: Path) -> None:
    run = Run(stores, dataset, tmp_path)
    run.monitor.stop_after = 1
    with pytest.raises(Interrupted):
        run.plan()
