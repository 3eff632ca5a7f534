"""What the validation of a dataset leaves behind in its row."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from graft.database import connect, migrate
from graft.datasets import ArchiveLimits, Datasets, NewDataset
from tests.drawing import folder, jpeg
from tests.graft.datasets.filling import add, create
from tests.monitors import Recorder


@pytest.fixture
def datasets(tmp_path: Path) -> Iterator[Datasets]:
    engine = connect(f"sqlite:///{tmp_path / 'graft.db'}")
    migrate(engine)
    yield Datasets(engine, tmp_path / "home", ArchiveLimits())
    engine.dispose()


def test_checks_and_problems_are_kept(datasets: Datasets) -> None:
    files = folder(13) | {"discs/copy.png": jpeg("discs", 0), "stripes/cut.jpg": jpeg("stripes", 99)[:900]}
    watch = Recorder()
    ready = datasets.validate(create(datasets, files).id, watch)
    assert ready.state == "ready"
    assert [(each["path"], each["code"], each["left_out"]) for each in ready.problems] == [
        ("stripes/cut.jpg", "truncated", True),
        ("discs/copy.png", "duplicate", False),
        ("discs/copy.png", "wrong_extension", False),
    ]
    assert ready.checks is not None
    assert [(each["code"], each["severity"], each["count"]) for each in ready.checks] == [
        ("no_test", "warning", 3),
        ("duplicate", "warning", 1),
        ("truncated", "warning", 1),
        ("wrong_extension", "warning", 1),
    ]
    assert ready.checks[1]["examples"] == ["discs/copy.png"]
    assert watch.events == [("validated", {"files": 41, "bad": 1, "ignored": 0})]


def test_what_rejects_a_set_is_an_error_and_the_first_problem(datasets: Datasets) -> None:
    rejected = datasets.validate(create(datasets, folder(3) | {f"discs/{i}": b"text" for i in range(9)}).id, Recorder())
    assert rejected.state == "rejected"
    assert rejected.checks is not None
    assert (rejected.checks[0]["code"], rejected.checks[0]["severity"]) == ("too_many_bad_files", "error")
    assert (rejected.problems[0]["path"], rejected.problems[0]["code"]) == (None, "too_many_bad_files")
    assert rejected.problems[0]["message"].startswith(rejected.checks[0]["message"])


def test_labels_that_make_no_pictures_reject_the_set(datasets: Datasets) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [{"id": 1, "image_id": 404, "category_id": 1, "bbox": [0, 0, 9, 9]}],
        "categories": [{"id": 1, "name": "discs"}],
    }
    files = {"1.jpg": jpeg("discs", 1), "annotations.json": json.dumps(coco).encode()}
    rejected = datasets.validate(create(datasets, files).id, Recorder())
    assert rejected.state == "rejected"
    assert rejected.checks is not None
    [check], [problem] = rejected.checks, rejected.problems
    assert (check["code"], check["severity"], check["count"]) == ("layout", "error", 1)
    assert (problem["path"], problem["code"]) == (None, "layout")
    assert problem["message"] == check["message"]
    assert "annotations.json" in problem["message"]


def test_the_checks_are_of_the_newest_validation(datasets: Datasets) -> None:
    first = datasets.validate(create(datasets, folder(14), validation_split=0.2, test_split=0.1).id, Recorder())
    assert (first.checks, first.problems) == ([], [])
    add(datasets, first.id, {"discs/bad.jpg": b"no picture"})
    datasets.commit(first.id)
    second = datasets.validate(first.id, Recorder())
    assert second.checks is not None
    assert [each["code"] for each in second.checks] == ["not_a_picture"]
    assert (second.revision, second.counts) == (first.revision, first.counts)


def test_nothing_is_known_before_validation(datasets: Datasets) -> None:
    assert datasets.open(NewDataset("x")).checks is None
