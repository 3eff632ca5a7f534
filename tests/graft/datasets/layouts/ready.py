"""The whole way of an import: taken in, checked, and validated to a revision."""

from collections.abc import Mapping

from graft.datasets import Dataset, Datasets, Manifest, NewDataset, SplitRequest
from graft.datasets.layouts.listing import Boxes
from tests.graft.datasets.filling import take_in
from tests.monitors import Recorder


def ready(datasets: Datasets, files: Mapping[str, bytes], *, boxes: Boxes = "crop") -> tuple[Dataset, Manifest]:
    with datasets.intake() as intake:
        take_in(intake, files)
        created = datasets.create(intake, NewDataset("import", SplitRequest(validation_split=0.0), boxes))
    dataset = datasets.validate(created.id, Recorder())
    assert dataset.state == "ready", dataset.problems
    return dataset, datasets.manifest(dataset.id, str(dataset.revision))


def counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """split -> class -> pictures, without what is empty."""
    named = {split: {name: n for name, n in of.items() if n} for split, of in (dataset.counts or {}).items()}
    return {split: of for split, of in named.items() if of}


def left_out(dataset: Dataset) -> set[tuple[str | None, str]]:
    return {(problem["path"], problem["code"]) for problem in dataset.problems if problem["left_out"]}
