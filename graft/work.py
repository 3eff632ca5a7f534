"""Taking on work: check what it needs, write the job, ring."""

from typing import Any

from graft.datasets import Dataset, Datasets, NewDataset
from graft.datasets.intake import Intake
from graft.errors import Conflict, InvalidFields
from graft.jobs import QUEUE_OF, Doorbell, Job, Jobs, Kind
from graft.jobs.transitions import rejection
from graft.registry import BUILT_IN, Registry, check_trainable
from graft.training.origin import continued
from graft.training.presets import RecipeRequest, check_validation

# What a plan comes to on a dataset without validation pictures: only what was asked for in so many words needs them.
_WITHOUT_VALIDATION = {"keep": "last", "early_stopping": None}


class Work:
    """May be used from many threads and processes at once. All of it blocks on SQL and disk."""

    def __init__(self, datasets: Datasets, jobs: Jobs, registry: Registry, doorbell: Doorbell) -> None:
        self._datasets = datasets
        self._jobs = jobs
        self._registry = registry
        self._doorbell = doorbell

    def dataset(self, intake: Intake, new: NewDataset, *, id: str | None = None) -> Dataset:
        """Make a dataset of what was taken in, and queue its validation. With the id of one that is there: that one.

        Raises as Datasets.create does.
        """
        created = self._datasets.create(intake, new, id=id)
        self._validate(created)
        return created

    def commit(self, dataset_id: str) -> Dataset:
        """Seal a dataset, and queue its validation: again where a crash has forgotten that.

        Raises as Datasets.commit does.
        """
        committed = self._datasets.commit(dataset_id)
        self._validate(committed)
        return committed

    def dataset_again(self, dataset_id: str) -> Dataset:
        """A dataset that is there, for a caller who asks for it to be made once more. Raises NotFound."""
        found = self._datasets.get(dataset_id)
        self._validate(found)  # the first call may have ended before it came to that
        return found

    def queue_forgotten_validations(self) -> None:
        """Those that a crash between a dataset's row and its job's row has left without a job."""
        for dataset_id in self._datasets.validating():
            self._validate(self._datasets.get(dataset_id))

    def _validate(self, dataset: Dataset) -> None:
        """Two calls at the same moment may queue two; the second has nothing left to do."""
        if dataset.state == "validating" and not self._jobs.validates(dataset.id):
            job = self._jobs.create("validate", dataset=dataset.id)
            self._doorbell.ring(QUEUE_OF["validate"], job.id)

    def train(
        self,
        *,
        dataset: str,
        model: str,
        recipe: RecipeRequest,
        priority: int,
        metadata: dict[str, Any],
        id: str | None = None,
    ) -> Job:
        """Queue a training run on the dataset's revision of this moment. With the id of a job that is there: that one.

        On a dataset that is being validated for the first time it waits for the revision that comes of that. Raises
        NotFound for the dataset and for a version that the recipe starts from, InvalidFields for one that does not fit;
        Conflict when the dataset has no revision and gets none by itself, and for the built-in model's name.
        """
        check_trainable(model)
        given = {"model": model, "priority": priority, "metadata": metadata}
        return self._queue("train", dataset, self.continued(recipe), id=id, **given)

    def plan(self, dataset: str, recipe: RecipeRequest, *, id: str | None = None) -> Job:
        """Queue a plan: the choice that a training by this recipe would begin with, and why. Waits as a training does.

        Raises NotFound, Conflict, and InvalidFields for a recipe that leaves nothing to choose.
        """
        if not recipe.open:
            raise InvalidFields(
                "A plan needs a recipe of the preset auto that starts from no version and leaves a field open; "
                f"received preset {recipe.preset} with {', '.join(recipe.asked) or 'nothing else'}: that is a recipe. "
                "Train by it."
            )
        return self._queue("plan", dataset, recipe, id=id)

    def continued(self, recipe: RecipeRequest) -> RecipeRequest:
        """The recipe with what the version decides that it starts from, if it does from one.

        Raises NotFound, CorruptVersion, and InvalidFields where they do not fit.
        """
        if recipe.origin is None:
            return recipe
        model, version = recipe.origin
        if model == BUILT_IN:
            raise InvalidFields(
                f"recipe.init must be a version that was trained; received one of {BUILT_IN}, which is built in. "
                "Its convolutions are those of init imagenet."
            )
        return continued(recipe, self._registry.card(model, self._registry.resolve(model, version=version)))

    def _queue(self, kind: Kind, dataset: str, recipe: RecipeRequest, **given: Any) -> Job:
        found = self._datasets.get(dataset)
        revision = _revision(found)
        if revision:
            check_validation(
                recipe.resolve(_WITHOUT_VALIDATION if recipe.open else None),
                sum((found.counts or {}).get("validation", {}).values()),
            )
        job = self._jobs.create(kind, dataset=dataset, revision=revision, recipe=recipe.stored(), **given)
        self._doorbell.ring(QUEUE_OF[kind], job.id)
        return job


def _revision(found: Dataset) -> str | None:
    """What a job that is asked for now works on; None: what comes of the validation that is under way."""
    if found.revision is not None:
        return found.revision
    if found.state == "validating":
        return None
    rule = "A dataset must be committed and valid before a job works on it"
    if found.state == "open":
        raise Conflict(f"{rule}; {found.id} is open. Add files, then POST /api/v1/datasets/{found.id}/commit.")
    raise Conflict(f"{rule}; {rejection(found.id, found.problems)} Upload a corrected one.")
