"""Datasets that are filled by several calls, and the next revision of one that is ready."""

import os
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


def test_what_was_rejected_is_mended_by_adding_or_begun_anew(datasets: Datasets) -> None:
    rejected = datasets.validate(create(datasets, folder(2) | BAD).id, Recorder())
    assert rejected.state == "rejected"
    with pytest.raises(Conflict, match="Add what it lacks, or take back what was added: DELETE"):
        datasets.commit(rejected.id)
    assert (add(datasets, rejected.id, folder(6, start=20)).state, datasets.get(rejected.id).files) == ("open", 36)
    datasets.commit(rejected.id)
    again = datasets.validate(rejected.id, Recorder())
    assert (again.state, len(again.problems)) == ("rejected", 13)
    empty = datasets.drop_added(rejected.id)
    assert (empty.state, empty.files) == ("open", 0)
    add(datasets, rejected.id, folder(2))
    datasets.commit(rejected.id)
    assert datasets.validate(rejected.id, Recorder()).state == "ready"


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
    assert add(datasets, ready.id, folder(1, start=9)).files == 30, "nothing is lost"
    datasets.drop_added(ready.id)
    assert add(datasets, ready.id, folder(1, start=9)).files == 18
    datasets.commit(ready.id)
    assert datasets.validate(ready.id, Recorder()).state == "ready"


def test_what_was_added_can_be_taken_back(datasets: Datasets, empty: Dataset, ready: Dataset) -> None:
    add(datasets, empty.id, {"x.png": b"lies in no class"})
    assert (datasets.drop_added(empty.id).state, datasets.get(empty.id).files) == ("open", 0)
    assert datasets.drop_added(ready.id) == ready
    add(datasets, ready.id, {"x.png": b"lies in no class"})
    with pytest.raises(InvalidInput, match=r"class folder.* Or take back what was added: DELETE"):
        datasets.commit(ready.id)
    assert datasets.drop_added(ready.id) == ready
    add(datasets, ready.id, BAD)
    datasets.commit(ready.id)
    with pytest.raises(Conflict, match="is validating"):
        datasets.drop_added(ready.id)
    datasets.validate(ready.id, Recorder())
    back = datasets.drop_added(ready.id)
    assert (back.state, back.revision, back.files) == ("ready", ready.revision, 15)
    assert (back.checks, back.problems, back.counts) == (None, [], ready.counts)


def test_labels_in_another_form_do_not_drop_the_old_pictures(datasets: Datasets, ready: Dataset) -> None:
    table = b"file_name,label\n" + b"".join(b"%d.jpg,%s\n" % (i, b"ab"[i % 2 : i % 2 + 1]) for i in range(4))
    pictures = {f"more/{i}.jpg": data for i, data in enumerate(folder(2, start=50).values()) if i < 4}
    add(datasets, ready.id, {"more/metadata.csv": table, **pictures})
    datasets.commit(ready.id)
    rejected = datasets.validate(ready.id, Recorder())
    assert (rejected.state, rejected.revision) == ("rejected", ready.revision)
    assert "must keep its class in the next one; with what was added 15 of 15 do not" in rejected.problems[0]["message"]


def test_a_second_validation_publishes_nothing_of_the_past(datasets: Datasets) -> None:
    dataset = create(datasets, folder(5))

    class Meanwhile(Recorder):
        """Another job validates the dataset, and files are added and committed, before this one concludes."""

        def guard(self) -> None:
            if datasets.get(dataset.id).revision is None:
                datasets.validate(dataset.id, Recorder())
                add(datasets, dataset.id, folder(2, start=50))
                datasets.commit(dataset.id)

    after = datasets.validate(dataset.id, Meanwhile())
    assert (after.state, after.files) == ("validating", 21)
    ready = datasets.validate(dataset.id, Recorder())
    assert (ready.state, len(splits(datasets, ready))) == ("ready", 21)


def test_a_call_that_comes_again_late_opens_nothing(datasets: Datasets, empty: Dataset) -> None:
    add(datasets, empty.id, folder(5), batch_id="batch_1")
    datasets.commit(empty.id)
    ready = datasets.validate(empty.id, Recorder())
    for batch_id in ("batch_1", "batch_2"):
        assert add(datasets, empty.id, folder(5), batch_id=batch_id) == ready
    assert datasets.with_batch(empty.id, "batch_1") == ready


def test_names_go_together_across_calls(datasets: Datasets, ready: Dataset) -> None:
    for name in ("DISCS/9.jpg", "discs/0.jpg/1.jpg"):
        with pytest.raises(InvalidInput, match=r"Names in an upload must differ|must be a file's or a folder's"):
            add(datasets, ready.id, {name: b"x"})
    assert datasets.get(ready.id) == ready


def test_the_same_files_again_mend_what_the_disk_has_lost(datasets: Datasets, tmp_path: Path) -> None:
    dataset = create(datasets, folder(2))
    for file in (tmp_path / "home/datasets" / dataset.id).glob("files/*/*"):
        file.write_bytes(b"")
    assert datasets.validate(dataset.id, Recorder()).state == "rejected"
    assert add(datasets, dataset.id, folder(2)).state == "open"
    datasets.commit(dataset.id)
    assert datasets.validate(dataset.id, Recorder()).state == "ready"


def test_a_key_that_was_used_before_a_drop_adds_anew(datasets: Datasets, ready: Dataset, tmp_path: Path) -> None:
    add(datasets, ready.id, folder(1, start=9), batch_id="batch_1")
    datasets.drop_added(ready.id)
    for path in (tmp_path / "home/datasets" / ready.id).rglob("*"):
        os.utime(path, (0, 0))
    assert add(datasets, ready.id, folder(1, start=9), batch_id="batch_1").files == 18
    datasets.sweep()
    datasets.commit(ready.id)
    after = datasets.validate(ready.id, Recorder())
    assert (after.state, len(splits(datasets, after))) == ("ready", 18)


def test_files_that_no_revision_holds_are_swept_after_a_day(datasets: Datasets, ready: Dataset, tmp_path: Path) -> None:
    def kept() -> int:
        return len(list((tmp_path / "home/datasets" / ready.id).glob("files/*/*")))

    add(datasets, ready.id, BAD)
    datasets.drop_added(ready.id)
    datasets.sweep()
    assert kept() == 27
    for path in (tmp_path / "home/datasets" / ready.id).rglob("*"):
        os.utime(path, (0, 0))
    datasets.sweep()
    assert kept() == 15
    assert datasets.validate(ready.id, Recorder()) == ready


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


def test_a_folder_that_a_crash_left_without_a_row_is_made_anew(datasets: Datasets, tmp_path: Path) -> None:
    def make() -> Dataset:
        with datasets.intake() as intake:
            take_in(intake, folder(1))
            return datasets.create(intake, NewDataset("b"), id="ds_b")

    left = tmp_path / "home/datasets/ds_b"
    (left / "files").mkdir(parents=True)
    with pytest.raises(Conflict, match="is being made by another call"):
        make()
    os.utime(left, (0, 0))
    assert make().state == "validating"


def test_a_dataset_that_was_never_filled_can_be_deleted(datasets: Datasets, empty: Dataset) -> None:
    datasets.delete(empty.id)
    with pytest.raises(NotFound):
        add(datasets, empty.id, folder(1))


def test_lists_are_filtered(datasets: Datasets, empty: Dataset, ready: Dataset) -> None:
    assert [found.id for found in datasets.list(states=["open"])[0]] == [empty.id]
    assert [found.id for found in datasets.list(names=["x"])[0]] == [ready.id]
    assert datasets.list(states=["open"], names=["x"]) == ([], False)
