import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from graft.database import connect, migrate
from graft.datasets import ArchiveLimits, Datasets, NewDataset, SplitRequest
from graft.datasets.batches import Batch
from graft.errors import (
    Conflict,
    DiskFull,
    GraftError,
    Interrupted,
    InvalidFields,
    InvalidInput,
    NotAnArchive,
    NotFound,
    StaleFence,
    TooLarge,
)
from graft.jobs import Jobs
from tests.drawing import CLASSES, folder, zip_of
from tests.graft.datasets.filling import create
from tests.monitors import Recorder

LIMITS = ArchiveLimits(bytes=10**6)


@contextmanager
def opened(database_url: str, home: Path) -> Iterator[Datasets]:
    engine = connect(database_url)
    migrate(engine)
    yield Datasets(engine, home, LIMITS)
    engine.dispose()


@pytest.fixture
def datasets(tmp_path: Path) -> Iterator[Datasets]:
    with opened(f"sqlite:///{tmp_path / 'graft.db'}", tmp_path / "home") as opened_store:
        yield opened_store


@pytest.fixture
def on_each_database(database_url: str, tmp_path: Path) -> Iterator[Datasets]:
    with opened(database_url, tmp_path / "home") as opened_store:
        yield opened_store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home" / "datasets"


def left_in(root: Path) -> list[str]:
    """Every file and folder, but the working folder itself."""
    return sorted(p.name for p in root.rglob("*") if p.name != ".staging")


def test_an_archive_becomes_a_ready_dataset(on_each_database: Datasets, root: Path) -> None:
    datasets = on_each_database
    files = {f"shapes/{path}": data for path, data in folder(10).items()}
    with datasets.intake() as intake:
        zip_of(files | {"shapes/discs/notes.txt": b"no picture", ".DS_Store": b""}, intake.archive)
        intake.unpack()
        created = datasets.create(intake, NewDataset("shapes", SplitRequest(0.2, 0.1, 7)))
    assert (created.state, created.revision, created.classes, created.counts) == ("validating", None, None, None)
    assert created.files == 31
    assert left_in(root / ".staging") == []

    watch = Recorder()
    ready = datasets.validate(created.id, watch)
    assert (ready.id, ready.name, ready.state, ready.classes) == (created.id, "shapes", "ready", CLASSES)
    assert ready.counts == {
        "train": dict.fromkeys(CLASSES, 7),
        "validation": dict.fromkeys(CLASSES, 2),
        "test": dict.fromkeys(CLASSES, 1),
    }
    assert [(p["path"], p["code"]) for p in ready.problems] == [("shapes/discs/notes.txt", "not_a_picture")]
    assert ready == datasets.get(created.id)
    assert watch.events == [("validated", {"files": 31, "bad": 1, "ignored": 1})]

    assert ready.revision is not None
    manifest = datasets.manifest(ready.id, ready.revision)
    assert manifest.revision == ready.revision
    for picture in manifest.pictures:
        assert datasets.picture(ready.id, picture.sha256) == files[picture.path]
        assert picture.path.split("/")[1] == manifest.classes[picture.label]


def test_the_revision_depends_on_content_and_seed_alone(datasets: Datasets) -> None:
    def revision(files: dict[str, bytes], seed: int = 0) -> str | None:
        created = create(datasets, files, split_seed=seed)
        return datasets.validate(created.id, Recorder()).revision

    files = folder(6)
    first = revision(files)
    assert revision(dict(reversed(files.items()))) == first
    assert revision({f"top/{path.replace('.jpg', '.png')}": data for path, data in files.items()}) == first
    assert revision(files, seed=1) != first


def test_a_set_that_breaks_a_rule_ends_up_rejected(datasets: Datasets) -> None:
    files = folder(5) | {f"discs/{i}.jpg": b"no picture" for i in range(4)}
    created = create(datasets, files)
    rejected = datasets.validate(created.id, Recorder())
    assert (rejected.state, rejected.revision) == ("rejected", None)
    assert [problem["code"] for problem in rejected.problems] == ["too_many_bad_files"] + 4 * ["not_a_picture"]
    assert rejected.counts is not None
    assert rejected.counts["train"]["discs"] == 1


def test_validating_again_changes_nothing(datasets: Datasets) -> None:
    created = create(datasets, folder(3))
    ready = datasets.validate(created.id, Recorder())
    watch = Recorder()
    assert datasets.validate(created.id, watch) == ready
    assert watch.reports == []


def test_a_stopped_validation_starts_anew(datasets: Datasets) -> None:
    created = create(datasets, folder(3))
    with pytest.raises(Interrupted):
        datasets.validate(created.id, Recorder(stop_after=0))
    assert datasets.get(created.id).state == "validating"
    assert datasets.validate(created.id, Recorder()).state == "ready"


def test_a_job_that_lost_its_claim_writes_nothing(datasets: Datasets, root: Path) -> None:
    created = create(datasets, folder(3))
    with pytest.raises(StaleFence):
        datasets.validate(created.id, Recorder(lost=True))
    assert datasets.get(created.id) == created
    assert not (root / created.id / "revisions").exists()


@pytest.mark.parametrize(("files", "name", "validation_split", "error"), [
    ({"cats/1.jpg": b"x"}, "x", 0.2, InvalidInput),
    ({"cats/1.jpg": b"x", "../1.jpg": b"x"}, "x", 0.2, InvalidInput),
    ({"cats/1.jpg": b"x", "dogs/1.jpg": bytes(2 * 10**6)}, "x", 0.2, TooLarge),
    ({}, "x", 0.2, InvalidInput),
    (None, "x", 0.2, NotAnArchive),
    (folder(1), "x", 1.0, InvalidFields),
    (folder(1), "", 0.2, InvalidFields),
    (folder(1), "n" * 201, 0.2, InvalidFields),
])  # fmt: skip
def test_nothing_is_kept_of_what_is_refused(
    files: dict[str, bytes] | None,
    name: str,
    validation_split: float,
    error: type[GraftError],
    datasets: Datasets,
    root: Path,
) -> None:
    def send() -> None:
        with datasets.intake() as intake:
            intake.archive.write_bytes(b"hello") if files is None else zip_of(files, intake.archive)
            intake.unpack()
            datasets.create(intake, NewDataset(name, SplitRequest(validation_split)))

    with pytest.raises(error):
        send()
    assert left_in(root) == []
    assert datasets.list() == ([], False)


def test_a_full_disk_is_named_and_nothing_is_kept(
    datasets: Datasets, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_batch: Batch, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Batch, "write", write)
    with pytest.raises(DiskFull, match="needs room under GRAFT_HOME"):
        create(datasets, folder(1))
    assert left_in(root) == []


def test_lists_are_paged_newest_first(on_each_database: Datasets) -> None:
    datasets = on_each_database
    ids = [create(datasets, folder(1), name=str(i)).id for i in range(3)]
    everything, more = datasets.list()
    assert {dataset.id for dataset in everything} == set(ids)
    assert not more
    first, more = datasets.list(limit=2)
    assert (first, more) == (everything[:2], True)
    assert datasets.list(limit=2, after=first[-1].id) == (everything[2:], False)
    times = [dataset.created_at for dataset in everything]
    assert times == sorted(times, reverse=True)


def test_delete_removes_row_and_files(on_each_database: Datasets, root: Path) -> None:
    datasets = on_each_database
    kept, gone = (create(datasets, folder(1)).id for _ in range(2))
    datasets.delete(gone)
    assert [dataset.id for dataset in datasets.list()[0]] == [kept]
    assert [p.name for p in root.iterdir() if not p.name.startswith(".")] == [kept]
    with pytest.raises(NotFound):
        datasets.delete(gone)


def test_a_dataset_that_a_job_needs_is_not_deleted(on_each_database: Datasets, database_url: str) -> None:
    datasets, engine = on_each_database, connect(database_url)
    jobs = Jobs(engine)
    dataset = create(datasets, folder(1)).id
    job = jobs.create("validate", dataset=dataset)
    with pytest.raises(Conflict, match="Wait for it, or cancel it"):
        datasets.delete(dataset)
    assert datasets.get(dataset).id == dataset
    jobs.cancel(job.id)
    datasets.delete(dataset)
    engine.dispose()


def test_what_is_not_there_is_named(datasets: Datasets) -> None:
    known = create(datasets, folder(1)).id
    for dataset_id in ("ds_missing", "../../etc", ""):
        with pytest.raises(NotFound, match="There is no dataset"):
            datasets.get(dataset_id)
        with pytest.raises(NotFound, match="There is no dataset"):
            datasets.validate(dataset_id, Recorder())
        with pytest.raises(InvalidInput, match="`after` must be the id of a dataset"):
            datasets.list(after=dataset_id)
    for sha256 in ("0" * 64, "../listing.json", ""):
        with pytest.raises(NotFound, match="no revision"):
            datasets.manifest(known, sha256)
        with pytest.raises(NotFound, match="no file"):
            datasets.picture(known, sha256)


def test_many_uploads_at_once_do_not_meet(datasets: Datasets) -> None:
    start = threading.Barrier(4)

    def upload(i: int) -> str:
        start.wait(timeout=60)
        return create(datasets, folder(2, start=i), name=str(i)).id

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(upload, range(4)))
    assert len(set(ids)) == 4
    assert all(datasets.validate(dataset_id, Recorder()).state == "ready" for dataset_id in ids)


def test_a_sweep_removes_only_what_a_crash_left_long_ago(datasets: Datasets, root: Path) -> None:
    known = create(datasets, folder(1)).id
    old = [root / ".staging" / "old", root / "ds_old"]
    fresh = [root / ".staging" / "new", root / "ds_new"]
    for path in (*old, *fresh):
        path.mkdir(parents=True)
    for path in (*old, root / known):
        os.utime(path, (0, 0))
    datasets.sweep()
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (*fresh, root / known))
