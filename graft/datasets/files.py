"""A dataset's files in the home directory.

datasets/.staging/  what one call sends, and what is thrown away
datasets/ID/files/ab/HASH  every file under the hash of its content
datasets/ID/batches/BATCH.json  which files were added by a call, under which names
datasets/ID/revisions/REVISION.json
"""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from graft.database import new_id
from graft.datasets.archives import ArchiveLimits
from graft.datasets.batches import Batch
from graft.datasets.intake import Intake, content_path
from graft.datasets.manifest import Manifest
from graft.datasets.rows import Dataset
from graft.disk import room_for, sync

ABANDONED_SECONDS = 24 * 3600
MAKING_SECONDS = 60  # from a folder to its row it takes milliseconds


class DatasetFiles:
    """The folders of all datasets. Knows nothing of their states."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def intake(self, limits: ArchiveLimits) -> Iterator[Intake]:
        """Somewhere to take files in; what nobody has moved away from there is gone afterwards."""
        folder = self._root / ".staging" / new_id("upload")
        with room_for("A dataset"):
            folder.mkdir(parents=True)
        intake = Intake(folder, limits)
        try:
            yield intake
        finally:
            intake.close()
            shutil.rmtree(folder, ignore_errors=True)

    def create(self, dataset_id: str, intake: Intake, batch: Batch) -> bool:
        """Make what was taken in the dataset's folder. False: it has one already."""
        with room_for("A dataset"):
            batch.write(intake.folder / "batches" / f"{batch.id}.json")
            try:
                intake.folder.rename(self._folder(dataset_id))
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return False
                raise
            sync(self._root)
        return True

    def left_behind(self, dataset_id: str) -> bool:
        """Whether the folder of a dataset that has no row is there for longer than its making takes."""
        with suppress(FileNotFoundError):
            return self._folder(dataset_id).stat().st_mtime < time.time() - MAKING_SECONDS
        return False

    def move_in(self, dataset_id: str, intake: Intake) -> None:
        """Put what was taken in beside the dataset's other files. Nothing refers to it yet."""
        with room_for("A dataset"):
            for file in intake.folder.glob("files/*/*"):
                self._place(dataset_id, file.name, file)

    def keep(self, dataset_id: str, data: bytes) -> str:
        """Store a file that was made here, and return its sha256. For many threads at once.

        Nothing waits for the disk, as little does for what was sent: whoever reads the file checks its hash.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.content(dataset_id, sha256)
        with suppress(FileNotFoundError):
            if path.stat().st_size == len(data):
                os.utime(path)  # a sweep must take it for new
                return sha256
        aside = path.with_name(f".{sha256}.{uuid4().hex}")
        with room_for("A dataset"):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(data)
            aside.replace(path)
        return sha256

    def _place(self, dataset_id: str, sha256: str, file: Path) -> None:
        path = self.content(dataset_id, sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        file.rename(path)

    def content(self, dataset_id: str, sha256: str) -> Path:
        return content_path(self._folder(dataset_id), sha256)

    def batches(self, dataset: Dataset) -> tuple[Batch, ...]:
        return tuple(Batch.read(self._batch(dataset.id, batch_id)) for batch_id in dataset.batches)

    def write_batch(self, dataset_id: str, batch: Batch) -> None:
        """Nothing refers to it yet."""
        with room_for("A dataset"):
            batch.write(self._batch(dataset_id, batch.id))

    def manifest(self, dataset_id: str, revision: str) -> Path:
        return self._folder(dataset_id) / "revisions" / f"{revision}.json"

    def discard(self, dataset_id: str) -> None:
        """Out of the way in one step, then removed piece by piece."""
        doomed = self._root / ".staging" / new_id("deleted")
        doomed.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # one that was opened and never filled
            self._folder(dataset_id).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def sweep(self, known: Mapping[str, Collection[str]]) -> None:
        """Remove what was left behind over a day ago: what was taken in, folders of no dataset, batches of no revision.

        known: the ids of all datasets, and of their batches.
        """
        orphans = (folder for folder in self._root.glob("ds_*") if folder.name not in known)
        for left in (*self._root.glob(".staging/*"), *orphans):
            if _is_old(left):
                shutil.rmtree(left, ignore_errors=True)
        for dataset_id, batches in known.items():
            with suppress(FileNotFoundError):  # deleted meanwhile
                self._sweep_batches(dataset_id, batches)

    def _sweep_batches(self, dataset_id: str, known: Collection[str]) -> None:
        """Batches that were dropped, and then the files that nothing refers to."""
        every = list(self._folder(dataset_id).glob("batches/*.json"))
        dropped = [path for path in every if path.stem not in known and _is_old(path)]
        if not dropped:
            return
        kept = {entry.sha256 for path in every if path not in dropped for entry in Batch.read(path).entries}
        for path in self._folder(dataset_id).glob("revisions/*.json"):
            kept |= {picture.sha256 for picture in Manifest.read(path).pictures}
        for file in self._folder(dataset_id).glob("files/*/*"):
            if file.name not in kept and _is_old(file):
                file.unlink(missing_ok=True)
        for path in dropped:
            path.unlink(missing_ok=True)

    def _batch(self, dataset_id: str, batch_id: str) -> Path:
        return self._folder(dataset_id) / "batches" / f"{batch_id}.json"

    def _folder(self, dataset_id: str) -> Path:
        return self._root / dataset_id


def _is_old(path: Path) -> bool:
    """False for what is gone: its owner, or another process's sweep, was faster."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime < time.time() - ABANDONED_SECONDS
    return False
