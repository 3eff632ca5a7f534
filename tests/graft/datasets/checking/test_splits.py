import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.datasets.checking.splits import SplitRequest, carve, shares
from graft.datasets.manifest import SPLITS, Split
from graft.errors import InvalidFields

fractions = st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.4, 0.49])


@dataclass(frozen=True)
class Drop:
    label: str
    sha256: str


drops = st.lists(st.builds(Drop, st.sampled_from(["a", "b", "c"]), st.text("0123456789abcdef", min_size=4, max_size=4)))


@given(drops, fractions, fractions, st.integers(0, 9), st.randoms(use_true_random=False))
def test_splits_follow_content_not_order(
    files: list[Drop], validation: float, test: float, seed: int, rng: random.Random
) -> None:
    order = list(range(len(files)))
    rng.shuffle(order)
    straight = carve(files, [None] * len(files), validation=validation, test=test, seed=seed)
    shuffled = carve([files[i] for i in order], [None] * len(files), validation=validation, test=test, seed=seed)
    assert [straight[i] for i in order] == shuffled


@given(drops, fractions, fractions, st.integers(0, 9))
def test_splits_are_stratified_and_disjoint(files: list[Drop], validation: float, test: float, seed: int) -> None:
    splits = carve(files, [None] * len(files), validation=validation, test=test, seed=seed)
    placed = {(file, split) for file, split in zip(files, splits, strict=True)}
    assert len(placed) == len(set(files))  # one content of a class has one split
    for label in {file.label for file in files}:
        counts = Counter(split for file, split in placed if file.label == label)
        n = counts.total()
        assert counts["train"] >= 1
        assert (counts["validation"], counts["test"]) == shares(n, validation, test)


@given(drops, drops, fractions, fractions, st.integers(0, 9), st.randoms(use_true_random=False))
def test_what_has_a_split_keeps_it(
    old: list[Drop], new: list[Drop], validation: float, test: float, seed: int, rng: random.Random
) -> None:
    first = carve(old, [None] * len(old), validation=validation, test=test, seed=seed)
    held: list[Split | None] = [*first, *[None] * len(new)]
    files = [*old, *new]
    second = carve(files, held, validation=validation, test=test, seed=seed)
    assert second[: len(old)] == first
    placed = {(file, split) for file, split in zip(files, second, strict=True)}
    assert len(placed) == len(set(files))  # a new copy of an old content shares its split
    assert {file.label for file, split in placed if split == "train"} == {file.label for file in files}
    order = list(range(len(files)))
    rng.shuffle(order)
    shuffled = carve([files[i] for i in order], [held[i] for i in order], validation=validation, test=test, seed=seed)
    assert [second[i] for i in order] == shuffled


@given(st.lists(st.integers(1, 15), min_size=1, max_size=4), fractions, fractions, st.integers(0, 9))
def test_a_class_that_grows_approaches_the_fractions(
    batches: list[int], validation: float, test: float, seed: int
) -> None:
    files: list[Drop] = []
    splits: list[Split] = []
    for size in batches:
        files += [Drop("a", f"{len(files) + i:04x}") for i in range(size)]
        held: list[Split | None] = [*splits, *[None] * size]
        before, splits = Counter(splits), carve(files, held, validation=validation, test=test, seed=seed)
        counts, wanted = Counter(splits), shares(len(files), validation, test)
        for split, share in zip(SPLITS[1:], wanted, strict=True):
            assert before[split] <= counts[split] <= max(share, before[split])
            if counts[split] < share:  # every new one went where it was lacking
                assert counts["train"] == max(1, before["train"])


@given(st.integers(0, 500), fractions, fractions)
def test_shares_are_the_rounded_fractions(n: int, validation: float, test: float) -> None:
    n_validation, n_test = shares(n, validation, test)
    assert n_validation + n_test <= max(0, n - 1)
    for share, fraction in ((n_validation, validation), (n_test, test)):
        assert (share == 0) if fraction == 0 else (n < 10 or share >= 1)
        assert n < 10 or abs(share - fraction * n) <= 1.5


@pytest.mark.parametrize(("n", "validation", "test", "expected"), [
    (10, 0.2, 0.0, (2, 0)),
    (12, 0.2, 0.1, (2, 1)),
    (13, 0.2, 0.0, (3, 0)),  # 2.6
    (5, 0.1, 0.0, (1, 0)),  # 0.5 is rounded up
    (3, 0.1, 0.1, (1, 1)),  # each split that was asked for gets one
    (2, 0.2, 0.2, (1, 0)),  # test gives way to train
    (1, 0.2, 0.2, (0, 0)),
    (0, 0.2, 0.2, (0, 0)),
])  # fmt: skip
def test_shares_of_small_classes(n: int, validation: float, test: float, expected: tuple[int, int]) -> None:
    assert shares(n, validation, test) == expected


def test_another_seed_draws_another_split() -> None:
    files = [Drop("a", f"{i:04x}") for i in range(50)]
    draws = {tuple(carve(files, [None] * len(files), validation=0.2, test=0.2, seed=seed)) for seed in range(5)}
    assert len(draws) == 5


@pytest.mark.parametrize(("validation", "test", "field"), [
    (-0.1, 0.0, "validation_split"), (1.0, 0.0, "validation_split"), (0.0, 1.5, "test_split"), (0.5, 0.5, "sum"),
    (float("nan"), 0.0, "validation_split"),
])  # fmt: skip
def test_fractions_out_of_range_are_refused(validation: float, test: float, field: str) -> None:
    with pytest.raises(InvalidFields, match=field):
        SplitRequest(validation, test)
