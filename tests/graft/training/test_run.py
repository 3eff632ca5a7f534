"""A whole training job on the real trunk, without HTTP and without a worker."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graft.database import connect, migrate
from graft.errors import Interrupted, InvalidInput, StaleFence
from graft.settings import Settings
from graft.stores import Stores, open_stores
from graft.training.presets import RecipeRequest
from graft.training.run import TrainOutcome, plan_job, train_job
from graft.vgg16.heads import Graft
from graft.vgg16.layers import head_shapes, tail_shapes
from tests.drawing import CLASSES, folder
from tests.graft.datasets.filling import create
from tests.monitors import Recorder

RECIPE = {"epochs": 2, "batch_size": 6, "steps_per_epoch": 2, "validation_steps": None, "seed": 4}
VERSION = 3


@dataclass(frozen=True)
class Order:
    """A row of the job table, as far as a training looks at it."""

    id: str
    model: str | None
    dataset: str | None
    revision: str | None
    recipe: dict[str, Any] | None
    fence: int = 1
    kind: str = "train"


@pytest.fixture(scope="module")
def stores(trunk_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), weights_dir=trunk_file.parent)
    engine = connect(settings.sqlalchemy_url)
    migrate(engine)
    yield open_stores(settings, engine)
    engine.dispose()


@pytest.fixture(scope="module")
def dataset(stores: Stores) -> tuple[str, str]:
    """Id and revision of three drawn classes with all three splits."""
    files = {**folder(4, split="train"), **folder(2, split="valid", start=10), **folder(1, split="test", start=20)}
    created = create(stores.datasets, files, name="shapes")
    ready = stores.datasets.validate(created.id, Recorder())
    if ready.revision is None:
        raise AssertionError(ready.problems)
    return ready.id, ready.revision


def order(job: str, dataset: tuple[str, str], **asked: Any) -> Order:
    request = RecipeRequest.parse({"preset": "feature-extraction", **RECIPE, **asked})
    return Order(job, job.replace("_", "-"), *dataset, request.stored())


def train(order: Order, stores: Stores, monitor: Recorder, **given: Any) -> TrainOutcome:
    usual: dict[str, Any] = {
        "precision": "float32",
        "reserved": None,
        "reserve": lambda _model: VERSION,
        "settle": lambda _recipe: None,
    }
    return train_job(order, stores, monitor=monitor, **usual | given)


@pytest.mark.parametrize(
    ("job", "asked"),
    [
        ("job_frozen", {"preset": "feature-extraction"}),
        ("job_pooled", {"preset": "feature-extraction", "pooling": "max", "hidden_units": []}),
        ("job_tail", {"preset": "fine-tuning", "cut": "block5_conv2"}),
    ],
)
def test_what_is_published_answers_as_the_report_says(
    stores: Stores, dataset: tuple[str, str], job: str, asked: dict[str, Any]
) -> None:
    outcome = train(order(job, dataset, **asked), stores, monitor := Recorder())
    model = job.replace("_", "-")
    assert outcome.version == VERSION
    stores.registry.verify(model, VERSION)
    card, weights = stores.registry.load(model, VERSION)
    assert card.classes == CLASSES
    shapes = {**tail_shapes(card.cut), **head_shapes(card.head)}
    assert {name: array.shape for name, array in weights.items()} == shapes
    assert [parameter.name for parameter in card.parameters] == list(shapes)
    assert card.trainable_parameters + card.frozen_parameters == 14_714_688 + sum(
        int(np.prod(shape)) for shape in head_shapes(card.head).values()
    )
    assert outcome.metrics["test"]["pictures"] == 3
    assert [p.phase for p in monitor.reports][-2:] == ["evaluating", "publishing"]
    assert (monitor.reports[-2].step, monitor.reports[-2].steps) == (9, 9)
    assert not (stores.home / "checkpoints" / job).exists()
    assert Graft(card.cut, card.head, weights).nbytes == sum(array.nbytes for array in weights.values())


@pytest.mark.parametrize("preset", ["feature-extraction", "fine-tuning"])
def test_the_served_graft_has_the_evaluated_loss(stores: Stores, dataset: tuple[str, str], preset: str) -> None:
    """Other pixels, another pooling or other weights would give another one."""
    from graft.engine.predictor import Predictor

    model = f"served-{preset}"
    train(replace(order("job_served", dataset, preset=preset, learning_rate=1e-3), model=model), stores, Recorder())
    predictor = Predictor(stores.registry, stores.weights, memory_bytes=10**9, max_pixels=10**6, timeout=60)
    predictor.start()
    pictures = stores.datasets.manifest(*dataset).of("validation")
    files = [(p.path, stores.datasets.picture(dataset[0], p.sha256)) for p in pictures]
    entries = asyncio.run(predictor.predict(model, files)).entries
    predictor.close()
    guesses = [{guess.index: guess.probability for guess in entry.top} for entry in entries]
    loss = -np.mean([np.log(guess[p.label]) for guess, p in zip(guesses, pictures, strict=True)])
    assert loss == pytest.approx(stores.registry.card(model, VERSION).metrics["validation"]["loss"], rel=1e-3)


def test_an_open_request_is_planned_settled_and_trained_by(stores: Stores, dataset: tuple[str, str]) -> None:
    row = RecipeRequest.parse({"preset": "auto", "precision": "float32", "batch_size": 6, "epochs": 3}).stored()
    settled: list[Mapping[str, Any]] = []
    this = Order("job_auto", "job-auto", *dataset, row)
    train(this, stores, monitor := Recorder(), settle=settled.append)
    events = [kind for kind, _ in monitor.events]
    assert events.index("plan") < events.index("summary") < events.index("epoch")
    phases = [p.phase for p in monitor.reports]
    assert list(dict.fromkeys(phases)) == ["planning", "extracting", "training", "evaluating", "publishing"]
    planned = next(data for kind, data in monitor.events if kind == "plan")
    card = stores.registry.card("job-auto", VERSION)
    assert settled == [card.recipe] == [planned["recipe"]]
    assert (card.cut, card.recipe["epochs"], card.input.precision) == (planned["cut"], 3, "float32")
    # A later claim finds its row settled.
    train(replace(this, recipe=dict(settled[0]), fence=2), stores, again := Recorder(), settle=settled.append)
    assert "plan" not in [kind for kind, _ in again.events]
    assert len(settled) == 1


def test_a_plan_is_a_job_of_its_own(stores: Stores, dataset: tuple[str, str]) -> None:
    this = Order("job_plan", None, *dataset, {"preset": "auto", "cut": "block5_pool"}, kind="plan")
    made = plan_job(this, stores, precision="float32", monitor=Recorder())
    assert made.as_dict()["recipe"]["cut"] == "block5_pool"
    assert made.recipe.precision == "float32"
    with pytest.raises(InvalidInput, match="A plan job needs a dataset"):
        plan_job(replace(this, dataset=None), stores, precision="float32", monitor=Recorder())


def test_the_event_log_begins_with_a_summary_of_the_layers(stores: Stores, dataset: tuple[str, str]) -> None:
    train(order("job_summary", dataset, epochs=1), stores, monitor := Recorder())
    summary = next(data for kind, data in monitor.events if kind == "summary")
    card = stores.registry.card("job-summary", VERSION)
    assert (summary["trainable_parameters"], summary["frozen_parameters"]) == (
        card.trainable_parameters,
        card.frozen_parameters,
    )
    assert [row["name"] for row in summary["layers"]] == [row.name for row in card.layers or ()]


def test_an_earlier_claim_s_published_version_is_taken_as_it_is(stores: Stores, dataset: tuple[str, str]) -> None:
    """The claim before this one published, and died before it could say so."""
    this = order("job_twice", dataset)
    first = train(this, stores, Recorder())
    again = train(replace(this, fence=2), stores, monitor := Recorder(), reserved=VERSION)
    assert again == first
    assert monitor.reports == []


def test_a_request_to_stop_keeps_the_features_that_were_computed(stores: Stores, dataset: tuple[str, str]) -> None:
    this = order("job_stop", dataset, preprocessing="none", cut="block5_conv3")
    with pytest.raises(Interrupted):
        train(this, stores, Recorder(stop_after=1))
    train(this, stores, monitor := Recorder())
    features = next(data for kind, data in monitor.events if kind == "features")
    assert features["kept"] >= 8
    assert features["kept"] + features["to_compute"] == 21


def test_a_lost_claim_publishes_nothing(stores: Stores, dataset: tuple[str, str]) -> None:
    with pytest.raises(StaleFence):
        train(order("job_stale", dataset), stores, Recorder(lost=True))
    assert stores.registry.versions("job-stale") == []
    assert list((stores.home / "registry" / ".staging").iterdir()) == []


def test_a_claim_that_is_lost_while_the_version_is_written_publishes_nothing(
    stores: Stores, dataset: tuple[str, str]
) -> None:
    this, monitor = order("job_late", dataset, epochs=1), Recorder()

    def reserve(_model: str) -> int:
        monitor.lost = True
        return VERSION

    with pytest.raises(StaleFence):
        train(this, stores, monitor, reserve=reserve)
    assert stores.registry.versions("job-late") == []
    assert list((stores.home / "registry" / ".staging").iterdir()) == []
