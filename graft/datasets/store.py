"""`Datasets`: datasets as rows in the database and folders in the home directory.

datasets/.incoming/        uploads on their way in
datasets/.staging/         what is being unpacked, or thrown away
datasets/ID/files/ab/HASH  every file under the hash of its content
datasets/ID/listing.json   what the archive held
datasets/ID/revisions/REVISION.json
"""

import builtins
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine, delete, exists, insert, select, update

from graft import images
from graft.database import new_id, newest_first, now_ms, reading
from graft.datasets.archives import ArchiveLimits
from graft.datasets.ingest import Listing, content_path, unpack
from graft.datasets.manifest import Manifest
from graft.datasets.splits import SplitRequest
from graft.datasets.validation import Verdict, find_flaws, judge
from graft.disk import room_for, sync
from graft.errors import Conflict, InvalidFields, NotFound
from graft.tables import datasets as table
from graft.tables import jobs, unfinished
from graft.types import Interpolation, Monitor

State = Literal["open", "validating", "ready", "rejected"]
MAX_NAME = 200
ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Dataset:
    """A row. counts: split -> class -> pictures; problems: path, code, message; created_at: epoch milliseconds."""

    id: str
    name: str
    state: State
    revision: str | None
    classes: tuple[str, ...] | None
    counts: dict[str, dict[str, int]] | None
    problems: list[dict[str, Any]]
    created_at: int


_COLUMNS = [table.c[field] for field in Dataset.__dataclass_fields__]


class Datasets:
    """May be used from many threads and processes at once."""

    def __init__(self, engine: Engine, home: Path, limits: ArchiveLimits) -> None:
        self._engine = engine
        self._root = home / "datasets"
        self._limits = limits

    def incoming(self) -> Path:
        """A name for a new file to stream an upload into, on the file system where `create` unpacks it."""
        folder = self._root / ".incoming"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / new_id("upload")

    def create(
        self, archive: Path, *, name: str, validation_split: float = 0.2, test_split: float = 0.0, split_seed: int = 0
    ) -> Dataset:
        """Unpack the archive into a dataset that waits for `validate`, and delete the archive, whatever happens.

        Raises InvalidFields, NotAnArchive, InvalidInput, TooLarge, DiskFull; nothing is kept then.
        """
        try:
            request = SplitRequest(validation_split, test_split, split_seed)
            if not 1 <= len(name) <= MAX_NAME:
                raise InvalidFields(f"name must have 1 to {MAX_NAME} characters; received {len(name)}.")
            dataset_id = new_id("ds")
            self._unpack(archive, dataset_id)
        finally:
            archive.unlink(missing_ok=True)
        try:
            return self._insert(dataset_id, name, request)
        except BaseException:
            self._discard(dataset_id)
            raise

    def _unpack(self, archive: Path, dataset_id: str) -> None:
        staged = self._root / ".staging" / dataset_id
        try:
            with room_for("A dataset"):
                staged.mkdir(parents=True)
                unpack(archive, staged, self._limits).write(staged / "listing.json")
                staged.rename(self._folder(dataset_id))
                sync(self._root)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def _insert(self, dataset_id: str, name: str, request: SplitRequest) -> Dataset:
        values = {"id": dataset_id, "name": name, "state": "validating", "split_request": asdict(request)}
        with self._engine.begin() as connection:
            connection.execute(insert(table).values(**values, problems=[], created_at=now_ms))
        return self.get(dataset_id)

    def get(self, dataset_id: str) -> Dataset:
        """Raises NotFound."""
        return _dataset(self._row(dataset_id))

    def list(self, *, limit: int = 50, after: str | None = None) -> tuple[builtins.list[Dataset], bool]:
        """A page, newest first, of those older than the dataset `after`; and whether there are more."""
        with reading(self._engine) as connection:
            rows, more = newest_first(connection, select(*_COLUMNS), table, "dataset", limit=limit, after=after)
        return [_dataset(dict(row)) for row in rows], more

    def validating(self) -> builtins.list[str]:
        """Ids of the datasets that wait for `validate`."""
        with reading(self._engine) as connection:
            return [*connection.execute(select(table.c.id).where(table.c.state == "validating")).scalars()]

    def delete(self, dataset_id: str) -> None:
        """Remove row and files. Raises NotFound; Conflict while a job that is not finished uses the dataset."""
        used = exists().where(jobs.c.dataset == dataset_id, unfinished)
        with self._engine.begin() as connection:
            statement = delete(table).where(table.c.id == dataset_id, ~used).returning(table.c.id)
            gone = connection.execute(statement).all()
        if not gone:
            self.get(dataset_id)
            raise Conflict(
                f"A dataset can be deleted once no job uses it; a job that is not finished uses {dataset_id}. "
                "Wait for it, or cancel it.",
                retry_after=2,
            )
        self._discard(dataset_id)

    def validate(self, dataset_id: str, monitor: Monitor) -> Dataset:
        """The job: decode every picture, split, write the manifest; the dataset ends up ready or rejected.

        Does nothing to one that is past validation. Raises NotFound, Interrupted, StaleFence, DiskFull.
        """
        row = self._row(dataset_id)
        if row["state"] != "validating":
            return _dataset(row)
        folder = self._folder(dataset_id)
        listing = Listing.read(folder / "listing.json")
        flaws = find_flaws(
            sorted({file.sha256 for file in listing.files}),
            lambda sha256: content_path(folder, sha256).read_bytes(),
            max_pixels=self._limits.picture_pixels,
            monitor=monitor,
        )
        verdict = judge(listing.files, flaws, SplitRequest(**row["split_request"]))
        monitor.event(
            "validated",
            {"files": len(listing.files), "bad": len(verdict.bad), "ignored": listing.ignored},
        )
        monitor.guard()
        return self._conclude(dataset_id, verdict)

    def _conclude(self, dataset_id: str, verdict: Verdict) -> Dataset:
        manifest = verdict.manifest
        ready = not verdict.reasons
        if ready:
            with room_for("A dataset"):
                manifest.write(self._manifest(dataset_id, manifest.revision))
        values = {
            "state": "ready" if ready else "rejected",
            "revision": manifest.revision if ready else None,
            "classes": manifest.classes,
            "counts": manifest.counts(),
            "problems": verdict.problems(),
        }
        with self._engine.begin() as connection:
            connection.execute(
                update(table).where(table.c.id == dataset_id, table.c.state == "validating").values(**values)
            )
        return self.get(dataset_id)

    def manifest(self, dataset_id: str, revision: str) -> Manifest:
        """Raises NotFound."""
        if not _is_hash(revision):
            raise _no_revision(dataset_id, revision)
        try:
            return Manifest.read(self._manifest(dataset_id, revision))
        except FileNotFoundError:
            self.get(dataset_id)
            raise _no_revision(dataset_id, revision) from None

    def picture(self, dataset_id: str, sha256: str) -> bytes:
        """The file with this hash, as it was sent. Raises NotFound."""
        try:
            if _is_hash(sha256):
                return content_path(self._folder(dataset_id), sha256).read_bytes()
        except FileNotFoundError:
            self.get(dataset_id)
        raise NotFound(f"Dataset {dataset_id} has no file with the sha256 {sha256!r}.")

    def pixels(self, dataset_id: str, sha256: str, interpolation: Interpolation) -> npt.NDArray[np.uint8]:
        """The picture with this hash as (224, 224, 3) RGB, by the limit that `validate` held it to. Raises NotFound."""
        data = self.picture(dataset_id, sha256)
        return images.decode(data, interpolation=interpolation, max_pixels=self._limits.picture_pixels)

    def sweep(self) -> None:
        """Remove what a crash left behind over a day ago: uploads, half-unpacked folders, folders without a row."""
        with reading(self._engine) as connection:
            known = set(connection.execute(select(table.c.id)).scalars())
        orphans = (folder for folder in self._root.glob("ds_*") if folder.name not in known)
        for left in (*self._root.glob(".incoming/*"), *self._root.glob(".staging/*"), *orphans):
            with suppress(FileNotFoundError):  # its owner, or another process's sweep, was faster
                if left.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _row(self, dataset_id: str) -> dict[str, Any]:
        with reading(self._engine) as connection:
            query = select(*_COLUMNS, table.c.split_request).where(table.c.id == dataset_id)
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise _not_found(dataset_id)
        return dict(row)

    def _folder(self, dataset_id: str) -> Path:
        return self._root / dataset_id

    def _manifest(self, dataset_id: str, revision: str) -> Path:
        return self._folder(dataset_id) / "revisions" / f"{revision}.json"

    def _discard(self, dataset_id: str) -> None:
        """Out of the way in one step, then removed piece by piece."""
        doomed = self._root / ".staging" / f"{dataset_id}.deleted"
        doomed.parent.mkdir(parents=True, exist_ok=True)
        self._folder(dataset_id).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _dataset(row: dict[str, Any]) -> Dataset:
    values = {field: row[field] for field in Dataset.__dataclass_fields__}
    return Dataset(**{**values, "classes": None if row["classes"] is None else tuple(row["classes"])})


def _is_hash(value: str) -> bool:
    return len(value) == 64 and all(c in "0123456789abcdef" for c in value)


def _not_found(dataset_id: str) -> NotFound:
    return NotFound(f"There is no dataset {dataset_id!r}. GET /api/v1/datasets lists what is there.")


def _no_revision(dataset_id: str, revision: str) -> NotFound:
    return NotFound(f"Dataset {dataset_id} has no revision {revision!r}.")
