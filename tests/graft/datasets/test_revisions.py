"""Datasets that are filled by several calls, and the next revision of one that is ready."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from graft.database import connect, migrate
from graft.datasets import ArchiveLimits, Dataset, Datasets, NewDataset
from graft.errors import Conflict, InvalidInput, NotFound, TooLarge
from tests.drawing import CLASSES, folder
from tests.graft.datasets.filling import add, create, take_in
from tests.monitors import Recorder

LIMITS = ArchiveLimits(bytes=10**6, entries=40)
BAD = {f"stripes/bad-{i}.jpg": f"no picture {i}".encode() for i in range(12)}


@pytest.fixture
def datasets(database_url: str, tmp_path: Path) -> Iterator[Datasets]:
    engine = connect(database_url)
    migrate(engine)
    yield Datasets(engine, tmp_path / "home", LIMITS)
    engine.dispose()


@pytest.fixture
def empty(datasets: Datasets) -> Dataset:
    return datasets.open(NewDataset("shapes"))


@pytest.fixture
def ready(datasets: Datasets) -> Dataset:
    """Five pictures of each class."""
    return datasets.validate(create(datasets, folder(5)).id, Recorder())


def splits(datasets: Datasets, dataset: Dataset) -> dict[str, str]:
    """sha256 -> split, in the dataset's revision."""
    assert dataset.revision is not None
    return {picture.sha256: picture.split for picture in datasets.manifest(dataset.id, dataset.revision).pictures}


def test_several_calls_make_the_revision_that_one_makes(datasets: Datasets, empty: Dataset, ready: Dataset) -> None:
    assert (empty.state, empty.files, empty.revision) == ("open", 0, None)
    for number, label in enumerate(CLASSES, start=1):
        files = {path: data for path, data in folder(5).items() if path.startswith(label)}
        assert add(datasets, empty.id, files).files == 5 * number
    assert datasets.commit(empty.id).state == "validating"
    assert datasets.validate(empty.id, Recorder()).revision == ready.revision


def test_a_call_may_be_repeated(datasets: Datasets, empty: Dataset) -> None:
    for _ in range(2):
        assert add(datasets, empty.id, folder(2)).files == 6
    for _ in range(2):
        assert add(datasets, empty.id, folder(1, start=9), batch_id="batch_1").files == 9


def test_a_file_is_never_replaced(datasets: Datasets, empty: Dataset) -> None:
    add(datasets, empty.id, {"cats/1.jpg": b"one"})
    with pytest.raises(Conflict, match=r"'cats/1\.jpg' was added before, with other content"):
        add(datasets, empty.id, {"cats/0.jpg": b"two", "cats/1.jpg": b"two"})
    assert datasets.get(empty.id).files == 1


def test_all_batches_together_are_held_to_the_limits(datasets: Datasets, empty: Dataset) -> None:
    add(datasets, empty.id, {f"cats/{i}.jpg": b"x" for i in range(30)})
    with pytest.raises(TooLarge, match=r"at most 40 files .* it would have 41 files"):
        add(datasets, empty.id, {f"dogs/{i}.jpg": b"x" for i in range(11)})
    assert datasets.get(empty.id).files == 30


def test_what_makes_no_dataset_stays_open(datasets: Datasets, empty: Dataset) -> None:
    with pytest.raises(InvalidInput, match="has no files"):
        datasets.commit(empty.id)
    add(datasets, empty.id, {"cats/1.jpg": b"x"})
    with pytest.raises(InvalidInput, match="at least two class folders"):
        datasets.commit(empty.id)
    assert datasets.get(empty.id).state == "open"
    add(datasets, empty.id, {"dogs/1.jpg": b"x"})
    assert datasets.commit(empty.id).state == "validating"


def test_a_commit_may_be_repeated(datasets: Datasets, empty: Dataset) -> None:
    add(datasets, empty.id, folder(2))
    assert datasets.commit(empty.id) == datasets.commit(empty.id)
    ready = datasets.validate(empty.id, Recorder())
    assert datasets.commit(empty.id) == ready


def test_nothing_is_added_while_the_pictures_are_looked_at(datasets: Datasets) -> None:
    dataset = create(datasets, folder(2))
    with pytest.raises(Conflict, match="is validating") as refusal:
        add(datasets, dataset.id, folder(1, start=9))
    assert refusal.value.retry_after


def test_what_was_rejected_takes_no_more(datasets: Datasets) -> None:
    rejected = datasets.validate(create(datasets, folder(2) | BAD).id, Recorder())
    assert rejected.state == "rejected"
    with pytest.raises(Conflict, match="was rejected"):
        add(datasets, rejected.id, folder(1, start=9))
    with pytest.raises(Conflict, match="was rejected"):
        datasets.commit(rejected.id)


def test_the_next_revision_keeps_every_picture_s_split(datasets: Datasets, ready: Dataset) -> None:
    before = splits(datasets, ready)
    opened = add(datasets, ready.id, folder(5, start=100))
    assert (opened.state, opened.revision, opened.counts) == ("open", ready.revision, ready.counts)
    assert opened.files == 30
    datasets.commit(ready.id)
    after = datasets.validate(ready.id, Recorder())
    assert after.revision != ready.revision
    assert before.items() <= splits(datasets, after).items()
    assert len(splits(datasets, after)) == 30
    assert splits(datasets, ready) == before


def test_a_next_revision_that_is_rejected_leaves_the_last_one(datasets: Datasets, ready: Dataset) -> None:
    add(datasets, ready.id, BAD)
    datasets.commit(ready.id)
    rejected = datasets.validate(ready.id, Recorder())
    assert (rejected.state, rejected.revision, rejected.counts) == ("rejected", ready.revision, ready.counts)
    assert rejected.problems[0]["code"] == "too_many_bad_files"
    opened = add(datasets, ready.id, folder(1, start=9))
    assert (opened.state, opened.files) == ("open", 18)
    datasets.commit(ready.id)
    assert datasets.validate(ready.id, Recorder()).state == "ready"


def test_calls_at_once_lose_nothing(datasets: Datasets, empty: Dataset) -> None:
    start = threading.Barrier(4)

    def send(i: int) -> None:
        with datasets.intake() as intake:
            take_in(intake, {f"{label}/{i}.jpg": f"{label}{i}".encode() for label in "ab"})
            start.wait(timeout=60)
            datasets.add(empty.id, intake)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    assert datasets.get(empty.id).files == 8


def test_an_id_makes_one_dataset(datasets: Datasets) -> None:
    assert datasets.open(NewDataset("a"), id="ds_a") == datasets.open(NewDataset("a"), id="ds_a")
    made = []
    for _ in range(2):
        with datasets.intake() as intake:
            take_in(intake, folder(1))
            made.append(datasets.create(intake, NewDataset("b"), id="ds_b"))
    assert made[0] == made[1]
    assert len(datasets.list()[0]) == 2


def test_a_dataset_that_was_never_filled_can_be_deleted(datasets: Datasets, empty: Dataset) -> None:
    datasets.delete(empty.id)
    with pytest.raises(NotFound):
        add(datasets, empty.id, folder(1))


def test_lists_are_filtered(datasets: Datasets, empty: Dataset, ready: Dataset) -> None:
    assert [found.id for found in datasets.list(state="open")[0]] == [empty.id]
    assert [found.id for found in datasets.list(name="x")[0]] == [ready.id]
    assert datasets.list(state="open", name="x") == ([], False)
