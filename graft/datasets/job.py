"""The job of kind `validate`: decode every picture, split, write the manifest; the dataset is ready or rejected."""

from dataclasses import asdict
from functools import partial
from typing import Any

from sqlalchemy import Engine

from graft.database import reading
from graft.datasets import layouts, rows
from graft.datasets.checking.checks import Check
from graft.datasets.checking.inspection import inspect
from graft.datasets.checking.problems import Problem
from graft.datasets.checking.validation import judge
from graft.datasets.files import DatasetFiles
from graft.datasets.layouts.listing import Listing, Sources
from graft.datasets.manifest import Manifest
from graft.datasets.names import shown
from graft.datasets.rows import Dataset
from graft.disk import room_for
from graft.errors import InvalidInput
from graft.types import Monitor


def validate(engine: Engine, files: DatasetFiles, dataset_id: str, *, max_pixels: int, monitor: Monitor) -> None:
    """Does nothing to a dataset that is past validation. Raises NotFound, Interrupted, StaleFence, DiskFull."""
    with reading(engine) as connection:
        dataset = rows.get(connection, dataset_id)
        splits = rows.split_request(connection, dataset_id)
    if dataset.state != "validating":
        return
    batches = files.batches(dataset)
    content = partial(files.content, dataset_id)
    try:
        sources = Sources(batches, content, dataset.boxes, max_pixels)
        listing = layouts.read(sources, partial(files.keep, dataset_id), monitor)
        earlier = Manifest.read(files.manifest(dataset_id, dataset.revision)) if dataset.revision else None
        if earlier:
            _check_kept(earlier, listing)
    except InvalidInput as error:
        monitor.guard()
        _reject(engine, dataset, **_layout(str(error)))
        return
    pictures = listing.files
    looks = inspect(
        sorted({picture.sha256 for picture in pictures}),
        lambda sha256: content(sha256).read_bytes(),
        max_pixels=max_pixels,
        monitor=monitor,
    )
    verdict = judge(pictures, looks, splits, earlier=earlier, left_out=listing.notes)
    found = {"problems": verdict.problems(), "checks": [asdict(check) for check in verdict.checks]}
    ignored = sum(batch.ignored for batch in batches)
    monitor.event("validated", {"files": len(pictures), "bad": verdict.bad, "ignored": ignored})
    monitor.guard()
    if verdict.rejected:
        _reject(engine, dataset, verdict.manifest, **found)
        return
    with room_for("A dataset"):
        verdict.manifest.write(files.manifest(dataset_id, verdict.manifest.revision))
    made = {"revision": verdict.manifest.revision, "sealed": len(batches), **_of(verdict.manifest)}
    rows.change(engine, dataset, state="ready", **made, **found)


def _check_kept(earlier: Manifest, listing: Listing) -> None:
    """New labels may make another layout of all files, and leave old pictures out. Raises InvalidInput."""
    now = {file.path: file.label for file in listing.files}
    lost = [picture.path for picture in earlier.pictures if now.get(picture.path) != earlier.classes[picture.label]]
    if lost:
        raise InvalidInput(
            f"Every picture of a revision must keep its class in the next one; with what was added {len(lost):,} of "
            f"{len(earlier.pictures):,} do not, such as {shown(lost[0])}. Add pictures and labels in the form that is "
            "there, or make another dataset of them."
        )


def _layout(message: str) -> dict[str, Any]:
    """What is found where the files make no pictures."""
    check = Check("layout", "error", 1, (), message, "Arrange the files as it says, and send the set again.")
    return {"problems": [asdict(Problem(None, check.code, message))], "checks": [asdict(check)]}


def _reject(engine: Engine, dataset: Dataset, manifest: Manifest | None = None, **found: Any) -> None:
    """A dataset that has a revision keeps it, and what is known of that."""
    of_manifest = _of(manifest) if manifest and not dataset.revision else {}
    rows.change(engine, dataset, state="rejected", **of_manifest, **found)


def _of(manifest: Manifest) -> dict[str, Any]:
    return {"classes": manifest.classes, "counts": manifest.counts()}
