"""Datasets made of files in memory."""

from collections.abc import Mapping
from typing import Any

from graft.datasets import Dataset, Datasets, NewDataset, SplitRequest
from graft.datasets.intake import Intake


def take_in(intake: Intake, files: Mapping[str, bytes]) -> None:
    """File by file, as the parts of a form come in."""
    for name, data in files.items():
        intake.begin(name)
        intake.write(data)
        intake.end()


def create(datasets: Datasets, files: Mapping[str, bytes], *, name: str = "x", **splits: Any) -> Dataset:
    """A dataset that waits for its validation. splits: fields of SplitRequest."""
    with datasets.intake() as intake:
        take_in(intake, files)
        return datasets.create(intake, NewDataset(name, SplitRequest(**splits)))


def add(datasets: Datasets, dataset_id: str, files: Mapping[str, bytes], *, batch_id: str | None = None) -> Dataset:
    with datasets.intake() as intake:
        take_in(intake, files)
        return datasets.add(dataset_id, intake, batch_id=batch_id)
