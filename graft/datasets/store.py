"""`Datasets`: rows in the database, which say what state a dataset is in, over files in the home directory.

open ──commit──> validating ──> ready | rejected
  ^                               │
  └───────────────add─────────────┘  (to a ready one: the next revision)

A change is made to a row as it was seen, or not at all: files are read and written without holding a lock.
"""

import builtins
from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine, delete, exists, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from graft import images
from graft.database import new_id, newest_first, now_ms, reading
from graft.datasets import job, layouts, rows
from graft.datasets.archives import ArchiveLimits
from graft.datasets.batches import Batch, count, new_in
from graft.datasets.files import DatasetFiles
from graft.datasets.intake import Intake
from graft.datasets.layouts.listing import Sources
from graft.datasets.manifest import Manifest
from graft.datasets.rows import COLUMNS, Dataset, NewDataset, State, dataset_of
from graft.errors import Conflict, InvalidInput, NotFound
from graft.tables import datasets as table
from graft.tables import jobs, unfinished
from graft.types import Interpolation, Monitor

RETRY_SECONDS = 2


class Datasets:
    """May be used from many threads and processes at once."""

    def __init__(self, engine: Engine, home: Path, limits: ArchiveLimits) -> None:
        self._engine = engine
        self._files = DatasetFiles(home / "datasets")
        self._limits = limits

    # Filling one.

    def intake(self) -> AbstractContextManager[Intake]:
        """Somewhere to take the files of one call in. Raises DiskFull."""
        return self._files.intake(self._limits)

    def create(self, intake: Intake, new: NewDataset, *, id: str | None = None) -> Dataset:
        """A dataset of what was taken in, which waits for `validate`. With the id of one that is there: that one.

        Raises InvalidInput when the files make no dataset, DiskFull; nothing is kept then.
        """
        dataset_id, batch = id or new_id("ds"), intake.batch()
        layouts.check(Sources((batch,), intake.content, new.boxes))
        while not self._files.create(dataset_id, intake, batch):
            with suppress(NotFound):
                return self.get(dataset_id)
            if not self._files.left_behind(dataset_id):
                raise Conflict(
                    f"A dataset is made once; {dataset_id} is being made by another call. Ask again soon.",
                    retry_after=RETRY_SECONDS,
                )
            self._files.discard(dataset_id)
        try:
            return self._insert(dataset_id, new, "validating", (batch,))
        except IntegrityError:
            return self.get(dataset_id)
        except BaseException:
            # Not where the row may be there after all: without it, the folder is swept later.
            with suppress(SQLAlchemyError), reading(self._engine) as connection:
                if not connection.scalar(select(exists().where(table.c.id == dataset_id))):
                    self._files.discard(dataset_id)
            raise

    def open(self, new: NewDataset, *, id: str | None = None) -> Dataset:
        """A dataset without files yet. With the id of one that is there: that one."""
        dataset_id = id or new_id("ds")
        try:
            return self._insert(dataset_id, new, "open", ())
        except IntegrityError:
            return self.get(dataset_id)

    def _insert(self, dataset_id: str, new: NewDataset, state: State, batches: tuple[Batch, ...]) -> Dataset:
        values = {"id": dataset_id, "name": new.name, "state": state, "boxes": new.boxes, "problems": []}
        added = {"batches": [batch.id for batch in batches], "files": count(batches)}
        statement = insert(table).values(**values, **added, split_request=asdict(new.splits), created_at=now_ms)
        with self._engine.begin() as connection:
            return dataset_of(connection.execute(statement.returning(*COLUMNS)).mappings().one())

    def add(self, dataset_id: str, intake: Intake, *, batch_id: str | None = None) -> Dataset:
        """Add what was taken in, all of it or nothing. On a dataset that has a revision this opens the next one.

        A batch whose files are all there opens a rejected dataset, and changes no other one. Raises NotFound,
        InvalidInput, TooLarge, DiskFull, Conflict while it is validated, and for a path that has other content already.
        """
        batch = intake.batch(batch_id)
        while True:
            dataset = self.get(dataset_id)
            if _has(dataset, batch.id):
                return dataset
            _check_open(dataset)
            before = self._batches(dataset)
            new = new_in(batch, before, self._limits)
            # A name of its own for each try: a batch that a row refers to is never written again.
            new = replace(new, id=f"{batch.id}.{new_id('try')}")
            # Whatever happens next, batch and files can stay: nothing refers to them before the row does.
            if new.entries:
                self._files.write_batch(dataset_id, new)
            self._files.move_in(dataset_id, intake)
            if not new.entries and dataset.state != "rejected":
                return dataset
            after = (*before, new) if new.entries else before
            added = {"batches": [each.id for each in after], "files": count(after)}
            if changed := rows.change(self._engine, dataset, state="open", **added):
                return changed

    def check_open(self, dataset_id: str) -> None:
        """Whether files may be added, before they are taken in. Raises NotFound; Conflict as `add` does."""
        _check_open(self.get(dataset_id))

    def with_batch(self, dataset_id: str, batch_id: str) -> Dataset:
        """The dataset that the batch was added to. Raises NotFound."""
        dataset = self.get(dataset_id)
        if not _has(dataset, batch_id):
            raise NotFound(f"Dataset {dataset_id} has no batch {batch_id!r}.")
        return dataset

    def commit(self, dataset_id: str) -> Dataset:
        """Seal an open dataset, which then waits for `validate`. One that is past that stays as it is.

        Raises NotFound; InvalidInput when the files make no dataset, which leaves it open; Conflict for a rejected one.
        """
        while True:
            dataset = self.get(dataset_id)
            if dataset.state == "rejected":
                raise Conflict(
                    f"A dataset must be open to be committed; {dataset_id} was rejected. Add what it lacks, or take "
                    f"back what was added: {_take_back(dataset_id)}."
                )
            if dataset.state != "open":
                return dataset
            batches = self._batches(dataset)
            try:
                layouts.check(Sources(batches, partial(self._files.content, dataset_id), dataset.boxes))
            except InvalidInput as error:
                raise type(error)(f"{error} Or take back what was added: {_take_back(dataset_id)}.") from error
            if sealed := rows.change(self._engine, dataset, state="validating"):
                return sealed

    def drop_added(self, dataset_id: str) -> Dataset:
        """Take back what was added since the last revision: the dataset is ready again, or open and empty.

        What a rejection has said is taken back, too. Raises NotFound, Conflict while it is validated.
        """
        while True:
            dataset = self.get(dataset_id)
            if dataset.state == "ready":
                return dataset
            _check_open(dataset)
            kept = replace(dataset, batches=dataset.batches[: dataset.sealed])
            values: dict[str, Any] = {"batches": [*kept.batches], "files": count(self._batches(kept))}
            if dataset.revision is None:
                values |= {"state": "open", "classes": None, "counts": None, "checks": None, "problems": []}
            elif any(check["severity"] == "error" for check in dataset.checks or ()):
                values |= {"state": "ready", "checks": None, "problems": []}
            else:
                values |= {"state": "ready"}
            if changed := rows.change(self._engine, dataset, **values):
                return changed

    def _batches(self, dataset: Dataset) -> tuple[Batch, ...]:
        """Raises NotFound when the dataset is deleted meanwhile."""
        try:
            return self._files.batches(dataset)
        except FileNotFoundError:
            self.get(dataset.id)
            raise

    # Looking at them.

    def get(self, dataset_id: str) -> Dataset:
        """Raises NotFound."""
        with reading(self._engine) as connection:
            return rows.get(connection, dataset_id)

    def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        states: Collection[State] = (),
        names: Collection[str] = (),
    ) -> tuple[builtins.list[Dataset], bool]:
        """A page, newest first, of those older than the dataset `after`; and whether there are more.

        Each filter that names anything asks for one of what it names.
        """
        wanted = {"state": states, "name": names}
        query = select(*COLUMNS).where(*(table.c[field].in_(values) for field, values in wanted.items() if values))
        with reading(self._engine) as connection:
            found, more = newest_first(connection, query, table, "dataset", limit=limit, after=after)
        return [dataset_of(row) for row in found], more

    def validating(self) -> builtins.list[str]:
        """Ids of the datasets that wait for `validate`."""
        with reading(self._engine) as connection:
            return [*connection.execute(select(table.c.id).where(table.c.state == "validating")).scalars()]

    def manifest(self, dataset_id: str, revision: str) -> Manifest:
        """Raises NotFound."""
        if not _is_hash(revision):
            raise _no_revision(dataset_id, revision)
        try:
            return Manifest.read(self._files.manifest(dataset_id, revision))
        except FileNotFoundError:
            self.get(dataset_id)
            raise _no_revision(dataset_id, revision) from None

    def picture(self, dataset_id: str, sha256: str) -> bytes:
        """The file with this hash, as it was sent. Raises NotFound."""
        try:
            if _is_hash(sha256):
                return self._files.content(dataset_id, sha256).read_bytes()
        except FileNotFoundError:
            self.get(dataset_id)
        raise NotFound(f"Dataset {dataset_id} has no file with the sha256 {sha256!r}.")

    def pixels(self, dataset_id: str, sha256: str, interpolation: Interpolation) -> npt.NDArray[np.uint8]:
        """The picture with this hash as (224, 224, 3) RGB, by the limit that `validate` held it to. Raises NotFound."""
        data = self.picture(dataset_id, sha256)
        return images.decode(data, interpolation=interpolation, max_pixels=self._limits.picture_pixels)

    def validate(self, dataset_id: str, monitor: Monitor) -> Dataset:
        """The job: the dataset ends up ready or rejected. Raises NotFound, Interrupted, StaleFence, DiskFull."""
        job.validate(self._engine, self._files, dataset_id, max_pixels=self._limits.picture_pixels, monitor=monitor)
        return self.get(dataset_id)

    # Removing them.

    def delete(self, dataset_id: str) -> None:
        """Remove row and files. Raises NotFound; Conflict while a job that is not finished uses the dataset."""
        with self._engine.begin() as connection:
            rows.get(connection, dataset_id, lock=True)  # from here on no job is taken on for it
            if connection.scalar(select(exists().where(jobs.c.dataset == dataset_id, unfinished))):
                raise Conflict(
                    f"A dataset can be deleted once no job uses it; a job that is not finished uses {dataset_id}. "
                    "Wait for it, or cancel it.",
                    retry_after=RETRY_SECONDS,
                )
            connection.execute(delete(table).where(table.c.id == dataset_id))
        self._files.discard(dataset_id)

    def sweep(self) -> None:
        """Remove what a crash left behind over a day ago: what was taken in, and folders without a row."""
        with reading(self._engine) as connection:
            found = connection.execute(select(table.c.id, table.c.batches)).all()
        known = {dataset_id: batches or () for dataset_id, batches in found}
        self._files.sweep(known)


def _has(dataset: Dataset, batch_id: str) -> bool:
    return any(stored.partition(".")[0] == batch_id for stored in dataset.batches)


def _take_back(dataset_id: str) -> str:
    return f"DELETE /api/v1/datasets/{dataset_id}/files"


def _check_open(dataset: Dataset) -> None:
    """Raises Conflict while a validation reads the files."""
    if dataset.state == "validating":
        raise Conflict(
            f"A dataset's files stay as they are while it is validated; {dataset.id} is validating. Ask again soon.",
            retry_after=RETRY_SECONDS,
        )


def _is_hash(value: str) -> bool:
    return len(value) == 64 and all(c in "0123456789abcdef" for c in value)


def _no_revision(dataset_id: str, revision: str) -> NotFound:
    return NotFound(f"Dataset {dataset_id} has no revision {revision!r}.")
