"""Work that is taken on: which jobs come of it, and who is rung."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from graft.database import connect, migrate
from graft.datasets import ArchiveLimits, Dataset, Datasets, NewDataset, SplitRequest
from graft.errors import Conflict, InvalidFields, InvalidInput, NotFound
from graft.jobs import Job, Jobs
from graft.registry import Registry
from graft.training.presets import RecipeRequest
from graft.types import InputKey
from graft.work import Work
from tests.app.conftest import publish
from tests.drawing import folder
from tests.graft.datasets.filling import take_in
from tests.monitors import Recorder

RECIPE = RecipeRequest.parse("feature-extraction")


class Bell(list[str]):
    """Keeps the queues that it was rung for."""

    def ring(self, queue: str, job_id: str) -> None:  # noqa: ARG002
        self.append(queue)


class Place:
    """Work, and what it works with."""

    def __init__(self, home: Path) -> None:
        self.engine = connect(f"sqlite:///{home / 'graft.db'}")
        migrate(self.engine)
        self.datasets, self.jobs = Datasets(self.engine, home, ArchiveLimits()), Jobs(self.engine)
        self.registry, self.bell = Registry(home / "registry", self.engine), Bell()
        self.work = Work(self.datasets, self.jobs, self.registry, self.bell)

    def dataset(self, files: Mapping[str, bytes], *, id: str | None = None, validation_split: float = 0.2) -> Dataset:
        with self.datasets.intake() as intake:
            take_in(intake, files)
            return self.work.dataset(intake, NewDataset("shapes", SplitRequest(validation_split)), id=id)

    def validate(self) -> None:
        """As a worker does it."""
        job = self.jobs.claim("datasets", "a test")
        assert job is not None
        assert job.dataset is not None
        self.datasets.validate(job.dataset, Recorder())
        self.jobs.succeed(job.id, job.fence)

    def lose_jobs(self) -> None:
        """As a crash right after a dataset's row was written."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM job_events")
            connection.exec_driver_sql("DELETE FROM jobs")

    def kinds(self) -> list[str]:
        return sorted(job.kind for job in self.jobs.list()[0])

    def train(
        self, dataset: str, *, model: str = "signs", recipe: RecipeRequest = RECIPE, id: str | None = None
    ) -> Job:
        return self.work.train(dataset=dataset, model=model, recipe=recipe, priority=3, metadata={"who": "me"}, id=id)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.engine.dispose()


def test_a_dataset_is_queued_for_its_validation_once(place: Place) -> None:
    dataset = place.dataset(folder(2), id="ds_mine")
    assert (dataset.id, dataset.state, place.kinds(), place.bell) == (
        "ds_mine",
        "validating",
        ["validate"],
        ["datasets"],
    )
    assert place.dataset(folder(2), id="ds_mine") == dataset
    assert place.work.commit("ds_mine") == dataset
    assert (place.kinds(), place.bell) == (["validate"], ["datasets"])


def test_a_validation_that_a_crash_forgot_is_queued_again(place: Place) -> None:
    dataset = place.dataset(folder(2), id="ds_mine")
    for again in (
        place.work.queue_forgotten_validations,
        lambda: place.work.commit(dataset.id),
        lambda: place.dataset(folder(2), id="ds_mine"),
    ):
        place.lose_jobs()
        again()
        place.work.queue_forgotten_validations()
        assert place.kinds() == ["validate"]
    place.validate()
    place.work.queue_forgotten_validations()
    place.work.commit(dataset.id)
    assert place.kinds() == ["validate"]


def test_a_training_pins_the_revision(place: Place) -> None:
    dataset = place.dataset(folder(5))
    place.validate()
    revision = place.datasets.get(dataset.id).revision
    job = place.train(dataset.id)
    assert (job.state, job.revision, job.model, job.dataset) == ("queued", revision, "signs", dataset.id)
    assert (job.recipe, job.priority, job.metadata) == (RECIPE.stored(), 3, {"who": "me"})
    assert revision
    assert place.bell == ["datasets", "training"]


def test_a_call_that_is_repeated_finds_the_validation_that_the_first_one_did_not_come_to(place: Place) -> None:
    dataset = place.dataset(folder(2), id="ds_1")
    place.lose_jobs()
    for _ in range(2):
        assert place.work.dataset_again("ds_1") == dataset
        assert place.kinds() == ["validate"]


def test_a_training_pins_the_last_revision_while_the_next_one_is_validated(place: Place) -> None:
    dataset = place.dataset(folder(4))
    place.validate()
    revision = place.datasets.get(dataset.id).revision
    with place.datasets.intake() as intake:
        take_in(intake, folder(1, start=9))
        place.datasets.add(dataset.id, intake)
    assert place.work.commit(dataset.id).state == "validating"
    job = place.work.train(dataset=dataset.id, model="m", recipe=RECIPE, priority=0, metadata={})
    assert revision is not None
    assert job.revision == revision


def test_a_training_with_an_id_is_queued_once(place: Place) -> None:
    dataset = place.dataset(folder(2)).id
    assert place.train(dataset, id="job_mine") == place.train(dataset, id="job_mine", model="other")
    assert place.kinds() == ["train", "validate"]


def test_a_training_waits_for_the_validation(place: Place) -> None:
    job = place.train(place.dataset(folder(5)).id)
    assert job.revision is None
    place.validate()
    assert place.jobs.get(job.id).revision == place.datasets.get(job.dataset or "").revision


def test_what_cannot_be_trained(place: Place) -> None:
    with pytest.raises(NotFound, match="ds_none"):
        place.train("ds_none")
    with pytest.raises(Conflict, match="built in"):
        place.train("ds_none", model="vgg16")
    opened = place.datasets.open(NewDataset("shapes"))
    with pytest.raises(Conflict, match=f"{opened.id} is open. Add files"):
        place.train(opened.id)
    assert place.kinds() == place.bell == []


def test_why_a_dataset_was_rejected_is_said(place: Place) -> None:
    rejected = place.dataset(dict.fromkeys(folder(2), b"no picture"))
    place.validate()
    first, second, third, *_ = (problem["message"] for problem in place.datasets.get(rejected.id).problems)
    with pytest.raises(Conflict) as refusal:
        place.train(rejected.id)
    assert str(refusal.value) == (
        "A dataset must be committed and valid before a job works on it; "
        f"{rejected.id} was rejected: {first} {second} {third} Upload a corrected one."
    )


def test_a_recipe_that_needs_validation_pictures_is_refused_without_them(place: Place) -> None:
    dataset = place.dataset(folder(2), validation_split=0)
    place.validate()
    with pytest.raises(InvalidInput, match="keep"):
        place.train(dataset.id, recipe=RecipeRequest.parse("fine-tuning"))
    assert place.kinds() == ["validate"]


def test_a_plan_is_queued_with_what_is_asked(place: Place) -> None:
    dataset = place.dataset(folder(2), validation_split=0).id
    place.validate()
    recipe = RecipeRequest.parse({"time_budget": 60})
    job = place.work.plan(dataset, recipe, id="job_mine")
    assert (job.kind, job.model, job.recipe) == ("plan", None, {"preset": "auto", "time_budget": 60})
    assert job.revision == place.datasets.get(dataset).revision
    assert place.work.plan(dataset, recipe, id="job_mine") == job
    with pytest.raises(InvalidInput, match="early_stopping"):
        place.work.plan(dataset, RecipeRequest.parse({"early_stopping": {}}))


@pytest.mark.parametrize("asked", ["fine-tuning", {"init": "signs:1"}, {**RECIPE.stored(), "preset": "auto"}])
def test_a_plan_needs_something_to_choose(place: Place, asked: str | dict[str, Any]) -> None:
    with pytest.raises(InvalidFields, match="leaves a field open"):
        place.work.plan("ds_none", RecipeRequest.parse(asked))


def test_a_version_to_start_from_gives_what_is_not_asked_for(place: Place) -> None:
    publish(place.registry, "signs", 1, "job_1", input=InputKey(preprocessing="none", interpolation="bilinear"))
    dataset = place.dataset(folder(2)).id
    recipe = place.train(dataset, recipe=RecipeRequest.parse({"init": "signs:1", "epochs": 3})).recipe
    assert recipe is not None
    assert (recipe["preset"], recipe["epochs"], recipe["cut"], recipe["pooling"]) == ("auto", 3, "block5_pool", "avg")
    assert (recipe["preprocessing"], recipe["interpolation"], recipe["precision"]) == ("none", "bilinear", "auto")
    with pytest.raises(NotFound, match="'signs' has 1; received version 2"):
        place.train(dataset, recipe=RecipeRequest.parse({"init": "signs:2"}))
    assert place.kinds() == ["train", "validate"]
