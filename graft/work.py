"""Taking on work: check what it needs, write the job, ring."""

from typing import Any

from graft.datasets import Dataset, Datasets, NewDataset
from graft.datasets.intake import Intake
from graft.errors import Conflict
from graft.jobs import QUEUE_OF, Doorbell, Job, Jobs
from graft.jobs.transitions import rejection
from graft.registry import check_trainable
from graft.training.presets import RecipeRequest, check_validation

# What a plan comes to on a dataset without validation pictures: only what was asked for in so many words needs them.
_WITHOUT_VALIDATION = {"keep": "last", "early_stopping": None}


class Work:
    """May be used from many threads and processes at once. All of it blocks on SQL and disk."""

    def __init__(self, datasets: Datasets, jobs: Jobs, doorbell: Doorbell) -> None:
        self._datasets = datasets
        self._jobs = jobs
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
        NotFound for the dataset; Conflict when it has no revision and gets none by itself, and for the built-in model's
        name.
        """
        check_trainable(model)
        found = self._datasets.get(dataset)
        revision = _revision(found)
        if revision:
            check_validation(
                recipe.resolve(_WITHOUT_VALIDATION if recipe.open else None),
                sum((found.counts or {}).get("validation", {}).values()),
            )
        job = self._jobs.create(
            "train",
            id=id,
            model=model,
            dataset=dataset,
            revision=revision,
            recipe=recipe.stored(),
            priority=priority,
            metadata=metadata,
        )
        self._doorbell.ring(QUEUE_OF["train"], job.id)
        return job


def _revision(found: Dataset) -> str | None:
    """What a training that is asked for now works on; None: what comes of the validation that is under way."""
    if found.revision is not None:
        return found.revision
    if found.state == "validating":
        return None
    rule = "A dataset must be committed and valid before a job trains on it"
    if found.state == "open":
        raise Conflict(f"{rule}; {found.id} is open. Add files, then POST /api/v1/datasets/{found.id}/commit.")
    raise Conflict(f"{rule}; {rejection(found.id, found.problems)} Upload a corrected one.")
