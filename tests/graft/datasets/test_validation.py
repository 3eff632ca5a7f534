import hashlib
import os

import pytest

from graft.datasets.ingest import SourceFile
from graft.datasets.manifest import Split
from graft.datasets.splits import SplitRequest
from graft.datasets.validation import MAX_PROBLEMS, find_flaws, judge
from graft.errors import Interrupted
from tests.drawing import jpeg
from tests.monitors import Recorder


def files(label: str, n: int, split: Split | None = None, start: int = 0) -> list[SourceFile]:
    return [
        SourceFile(f"{split or ''}/{label}/{i}", split, label, hashlib.sha256(f"{label}{i}".encode()).hexdigest())
        for i in range(start, start + n)
    ]


def flaws(*bad: SourceFile) -> dict[str, tuple[str, str]]:
    return {file.sha256: ("not_a_picture", "Bad.") for file in bad}


def test_splits_are_carved_where_the_folders_name_none() -> None:
    verdict = judge(files("cats", 10) + files("dogs", 20), {}, SplitRequest(0.2, 0.1))
    assert verdict.manifest.counts() == {
        "train": {"cats": 7, "dogs": 14},
        "validation": {"cats": 2, "dogs": 4},
        "test": {"cats": 1, "dogs": 2},
    }
    assert verdict.reasons == ()


def test_validation_is_carved_from_train_when_only_that_is_missing() -> None:
    given = [*files("cats", 10, "train"), *files("dogs", 10, "train"), *files("cats", 5, "test", 50)]
    counts = judge(given, {}, SplitRequest(0.2, 0.3)).manifest.counts()
    assert counts["train"] == {"cats": 8, "dogs": 8}
    assert counts["validation"] == {"cats": 2, "dogs": 2}
    assert counts["test"] == {"cats": 5, "dogs": 0}


def test_split_folders_are_kept_as_they_are() -> None:
    given = [*files("cats", 3, "train"), *files("dogs", 3, "train"), *files("cats", 1, "validation", 50)]
    manifest = judge(given, {}, SplitRequest(0.2)).manifest
    assert {p.path for p in manifest.of("train")} == {f.path for f in given if f.split == "train"}
    assert [p.path for p in manifest.of("validation")] == ["validation/cats/50"]


def test_classes_are_united_over_the_splits_and_sorted() -> None:
    given = [*files("10", 3, "train"), *files("2", 3, "train"), *files("1", 3, "test")]
    assert judge(given, {}, SplitRequest()).manifest.classes == ("1", "10", "2")


def test_bad_files_are_named_and_left_out() -> None:
    given = files("cats", 10) + files("dogs", 10)
    verdict = judge(given, flaws(given[3]), SplitRequest(0.0))
    assert verdict.reasons == ()
    assert verdict.problems() == [{"path": "/cats/3", "code": "not_a_picture", "message": "Bad."}]
    assert len(verdict.manifest.pictures) == 19


def test_a_fifth_may_be_bad_and_no_more() -> None:
    given = files("cats", 10) + files("dogs", 10)
    assert judge(given, flaws(*given[:4]), SplitRequest()).reasons == ()
    verdict = judge(given, flaws(*given[:5]), SplitRequest())
    assert [reason.code for reason in verdict.reasons] == ["too_many_bad_files"]
    assert "At most 20% of a dataset's files may be bad; 5 of 20 are." in verdict.problems()[0]["message"]


def test_a_class_with_no_good_training_picture_rejects_the_set() -> None:
    given = [*files("cats", 9, "train"), *files("dogs", 9, "train"), *files("birds", 1, "test")]
    verdict = judge(given, {}, SplitRequest())
    assert [(reason.code, "'birds'" in reason.message) for reason in verdict.reasons] == [("no_training_picture", True)]


def test_a_single_class_left_rejects_the_set() -> None:
    given = files("cats", 20) + files("dogs", 2)
    verdict = judge(given, flaws(*given[20:]), SplitRequest())
    assert [reason.code for reason in verdict.reasons] == ["too_few_classes", "no_training_picture"]


def test_problems_are_capped_and_counted() -> None:
    given = files("cats", 4 * MAX_PROBLEMS) + files("dogs", 4 * MAX_PROBLEMS)
    problems = judge(given, flaws(*given[: MAX_PROBLEMS + 7]), SplitRequest()).problems()
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == {"path": None, "code": "more_problems", "message": "7 more files have problems."}


def contents(n: int) -> dict[str, bytes]:
    return {hashlib.sha256(data).hexdigest(): data for data in (jpeg("discs", i) for i in range(n))}


def test_flaws_are_found_and_progress_is_reported() -> None:
    stored = contents(30)
    text = b"no picture"
    stored[hashlib.sha256(text).hexdigest()] = text
    stored["0" * 64] = jpeg("discs", 99)
    watch = Recorder()
    found = find_flaws(sorted(stored), stored.__getitem__, max_pixels=50_000_000, monitor=watch)
    assert {sha256: code for sha256, (code, _) in found.items()} == {
        hashlib.sha256(text).hexdigest(): "not_a_picture",
        "0" * 64: "damaged_on_disk",
    }
    steps = [report.step or 0 for report in watch.reports]
    assert steps == sorted(set(steps))
    last = watch.reports[-1]
    assert (last.phase, last.step, last.steps, last.eta_seconds) == ("validating", 32, 32, 0)


def test_pictures_over_the_limit_are_flaws() -> None:
    stored = contents(1)
    found = find_flaws(list(stored), stored.__getitem__, max_pixels=100, monitor=Recorder())
    assert [code for code, _ in found.values()] == ["too_large"]


def test_a_stop_ends_it_between_batches() -> None:
    stored = contents(4 * len(os.sched_getaffinity(0)) + 1)  # two batches
    watch = Recorder(stop_after=1)
    with pytest.raises(Interrupted):
        find_flaws(list(stored), stored.__getitem__, max_pixels=50_000_000, monitor=watch)
    assert len(watch.reports) == 1
