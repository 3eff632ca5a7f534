import hashlib
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from graft.datasets.checking.problems import Flaw, Problem
from graft.datasets.checking.splits import SplitRequest
from graft.datasets.checking.traits import Traits
from graft.datasets.checking.validation import MAX_PROBLEMS, Verdict, judge
from graft.datasets.layouts.listing import SourceFile
from graft.datasets.manifest import Manifest, Split
from tests.graft.datasets.checking.judging import check, told

FINE = Traits("PNG", 100, 100, frames=False, grey=False)
BAD = Flaw("not_a_picture", "Bad.")


def files(label: str, n: int, split: Split | None = None, start: int = 0) -> list[SourceFile]:
    return [
        SourceFile(f"{split or ''}/{label}/{i}", split, label, hashlib.sha256(f"{label}{i}".encode()).hexdigest())
        for i in range(start, start + n)
    ]


def verdict_on(
    given: Sequence[SourceFile],
    request: SplitRequest | None = None,
    *,
    bad: Sequence[SourceFile] = (),
    earlier: Manifest | None = None,
    left_out: Sequence[Problem] = (),
) -> Verdict:
    looks: dict[str, Traits | Flaw] = {file.sha256: FINE for file in given}
    looks |= {file.sha256: BAD for file in bad}
    return judge(given, looks, request or SplitRequest(), earlier=earlier, left_out=left_out)


def splits(manifest: Manifest) -> dict[str, Split]:
    return {picture.path: picture.split for picture in manifest.pictures}


def test_splits_are_carved_where_the_folders_name_none() -> None:
    verdict = verdict_on(files("cats", 10) + files("dogs", 20), SplitRequest(0.2, 0.1))
    assert verdict.manifest.counts() == {
        "train": {"cats": 7, "dogs": 14},
        "validation": {"cats": 2, "dogs": 4},
        "test": {"cats": 1, "dogs": 2},
    }
    assert not verdict.rejected


def test_validation_is_carved_from_train_when_only_that_is_missing() -> None:
    there = [*files("cats", 10, "train"), *files("dogs", 10, "train"), *files("cats", 5, "test", 50)]
    counts = verdict_on(there, SplitRequest(0.2, 0.3)).manifest.counts()
    assert counts["train"] == {"cats": 8, "dogs": 8}
    assert counts["validation"] == {"cats": 2, "dogs": 2}
    assert counts["test"] == {"cats": 5, "dogs": 0}


def test_split_folders_are_kept_as_they_are() -> None:
    there = [*files("cats", 3, "train"), *files("dogs", 3, "train"), *files("cats", 1, "validation", 50)]
    manifest = verdict_on(there).manifest
    assert {p.path for p in manifest.of("train")} == {f.path for f in there if f.split == "train"}
    assert [p.path for p in manifest.of("validation")] == ["validation/cats/50"]


def test_classes_are_united_over_the_splits_and_sorted() -> None:
    there = [*files("10", 3, "train"), *files("2", 3, "train"), *files("1", 3, "test")]
    assert verdict_on(there).manifest.classes == ("1", "10", "2")


def test_bad_files_are_named_and_left_out() -> None:
    there = files("cats", 10) + files("dogs", 10)
    verdict = verdict_on(there, SplitRequest(0.0), bad=there[3:4])
    assert not verdict.rejected
    assert verdict.bad == 1
    assert verdict.problems() == [{"path": "/cats/3", "code": "not_a_picture", "message": "Bad.", "left_out": True}]
    assert len(verdict.manifest.pictures) == 19


def test_problems_are_capped_and_the_checks_count_all() -> None:
    there = files("cats", 4 * MAX_PROBLEMS) + files("dogs", 4 * MAX_PROBLEMS)
    verdict = verdict_on(there, bad=there[: MAX_PROBLEMS + 7])
    problems = verdict.problems()
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == {
        "path": None,
        "code": "more_problems",
        "message": "7 more are not listed; the checks count all.",
        "left_out": False,
    }
    assert check(verdict, "not_a_picture").count == MAX_PROBLEMS + 7
    assert len(check(verdict, "not_a_picture").examples) == 5


def test_reasons_come_first_then_what_is_left_out_then_the_worst() -> None:
    there = [*files("cats", 10, "train"), *files("dogs", 10, "train"), *files("birds", 1, "test")]
    twin = replace(there[0], path="train/cats/twin")
    leak = replace(there[1], path="test/cats/leak", split="test")
    looks: dict[str, Traits | Flaw] = {file.sha256: FINE for file in there}
    looks |= {there[2].sha256: BAD, there[3].sha256: replace(FINE, width=30)}
    verdict = judge([*there, twin, leak], looks, SplitRequest())
    assert told(verdict) == [
        (None, "no_training_picture", False),
        ("train/cats/2", "not_a_picture", True),
        ("test/cats/leak", "leak", False),
        ("train/cats/twin", "duplicate", False),
        ("train/cats/3", "tiny", False),
    ]


def test_what_the_layout_left_out_is_told_and_counted() -> None:
    notes = [Problem(f"{i}.jpg", "two_labels", "A picture needs one label.", left_out=True) for i in range(7)]
    verdict = verdict_on(files("cats", 20) + files("dogs", 20), left_out=notes)
    assert told(verdict) == [(f"{i}.jpg", "two_labels", True) for i in range(7)]
    found = check(verdict, "two_labels")
    assert (found.severity, found.count, found.examples) == ("warning", 7, tuple(f"{i}.jpg" for i in range(5)))
    assert found.message == "A picture needs one label."


def test_what_the_layout_could_not_read_is_bad_too() -> None:
    there = files("cats", 20) + files("dogs", 20)
    notes = [Problem(f"{i}.jpg", "truncated", "It ends too early.", left_out=True) for i in range(11)]
    assert not verdict_on(there, left_out=notes[:10]).rejected
    verdict = verdict_on(there, left_out=notes)
    assert "11 of 51 are" in check(verdict, "too_many_bad_files").message
    assert check(verdict, "truncated").message.endswith(": 11 of 51.")


# The next revision.


def test_old_pictures_keep_their_splits_and_new_ones_fill_up() -> None:
    old = files("cats", 20) + files("dogs", 20)
    request = SplitRequest(0.2, 0.1)
    first = verdict_on(old, request).manifest
    second = verdict_on([*old, *files("cats", 20, start=20), *files("birds", 10)], request, earlier=first).manifest
    assert splits(first).items() <= splits(second).items()
    assert second.counts() == {
        "train": {"birds": 7, "cats": 28, "dogs": 14},
        "validation": {"birds": 2, "cats": 8, "dogs": 4},
        "test": {"birds": 1, "cats": 4, "dogs": 2},
    }


def test_split_folders_of_new_files_are_kept() -> None:
    old = [*files("cats", 10, "train"), *files("dogs", 10, "train")]
    first = verdict_on(old).manifest
    new = [*files("cats", 3, "test", 50), *files("dogs", 4, "validation", 50), *files("dogs", 5, "train", 60)]
    second = verdict_on([*old, *new], earlier=first).manifest
    assert splits(first).items() <= splits(second).items()
    assert {path for path, split in splits(second).items() if split == "test"} == {f.path for f in new[:3]}
    assert second.counts()["validation"] == {"cats": 2, "dogs": 2 + 4}  # named now, so that none are carved


def test_a_new_copy_of_an_old_picture_goes_where_that_is() -> None:
    old = [*files("cats", 10, "train"), *files("dogs", 10, "train"), *files("cats", 3, "test", 50)]
    first = verdict_on(old, SplitRequest(0)).manifest
    trained = replace(old[0], path="test/cats/copy", split="test")
    tested = replace(old[20], path="train/cats/copy")
    other_class = replace(old[20], path="train/dogs/copy", label="dogs")
    verdict = verdict_on([*old, trained, tested, other_class], SplitRequest(0), earlier=first)
    places = splits(verdict.manifest)
    assert [places[file.path] for file in (trained, tested, other_class)] == ["train", "test", "test"]
    assert sorted({(each[1], each[0]) for each in told(verdict)}) == [
        ("duplicate", "train/cats/0"),  # of test/cats/copy
        ("duplicate", "train/cats/copy"),  # of test/cats/50
        ("label_conflict", "test/cats/50"),
        ("label_conflict", "train/cats/copy"),
        ("label_conflict", "train/dogs/copy"),
    ]


def test_an_old_leak_stays_what_it_is() -> None:
    old = [*files("cats", 10, "train"), *files("dogs", 10, "train")]
    leak = replace(old[0], path="test/cats/leak", split="test")
    first = verdict_on([*old, leak]).manifest
    again = replace(old[0], path="train/cats/again")
    second = verdict_on([*old, leak, again], earlier=first).manifest
    assert splits(first).items() <= splits(second).items()
    assert splits(second)["train/cats/again"] == "train"


contents = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.sampled_from([None, "train", "test"])))


@given(contents, contents, st.sampled_from([0.0, 0.2, 0.5]), st.sampled_from([0.0, 0.2]))
def test_no_picture_ever_changes_its_split(
    old: list[tuple[str, int, Split | None]],
    new: list[tuple[str, int, Split | None]],
    validation: float,
    test: float,
) -> None:
    there = [
        SourceFile(f"{place}", split, label, hashlib.sha256(bytes([number])).hexdigest())
        for place, (label, number, split) in enumerate([("a", 90, None), ("b", 91, None), *old, *new])
    ]
    request = SplitRequest(validation, test)
    first = verdict_on(there[: 2 + len(old)], request).manifest
    second = verdict_on(there, request, earlier=first).manifest
    assert splits(first).items() <= splits(second).items()
    assert len(second.pictures) == len(there)
    assert second == verdict_on(there[::-1], request, earlier=first).manifest
