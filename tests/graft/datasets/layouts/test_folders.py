from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.datasets.layouts.folders import Place, arrange
from graft.datasets.manifest import Split
from graft.errors import InvalidInput
from tests.graft.datasets.layouts.reading import DOT, classes, left_out, read, sources


def test_folders_are_classes() -> None:
    assert arrange([["cats/1.jpg", "dogs/1.jpg"]]) == {
        "cats/1.jpg": Place(None, "cats"),
        "dogs/1.jpg": Place(None, "dogs"),
    }


@pytest.mark.parametrize(("folder", "split"), [
    ("train", "train"), ("valid", "validation"), ("val", "validation"), ("validation", "validation"), ("test", "test"),
    ("Test", "test"),
])  # fmt: skip
def test_split_folders_name_splits(folder: str, split: Split) -> None:
    places = arrange([["train/cats/1.jpg", "train/dogs/1.jpg", f"{folder}/cats/2.jpg"]])
    assert places[f"{folder}/cats/2.jpg"] == Place(split, "cats")


@pytest.mark.parametrize("top", ["pets", "my/pets"])
def test_folders_that_hold_everything_are_stripped(top: str) -> None:
    places = arrange([[f"{top}/cats/1.jpg", f"{top}/dogs/1.jpg"]])
    assert {place.label for place in places.values()} == {"cats", "dogs"}
    assert all(place.split is None for place in places.values())


def test_each_batch_is_stripped_by_itself() -> None:
    first, second = ["cats/1.jpg", "dogs/1.jpg"], ["more/cats/2.jpg", "more/birds/2.jpg"]
    assert {path: place.label for path, place in arrange([first, second]).items()} == {
        "cats/1.jpg": "cats", "dogs/1.jpg": "dogs", "more/cats/2.jpg": "cats", "more/birds/2.jpg": "birds",
    }  # fmt: skip


def test_splits_may_come_in_batches_of_their_own() -> None:
    places = arrange([["train/cats/1.jpg", "train/dogs/1.jpg"], ["pets/test/cats/2.jpg", "pets/test/dogs/2.jpg"]])
    assert places["pets/test/dogs/2.jpg"] == Place("test", "dogs")


@given(st.lists(st.sampled_from(["cats", "dogs", "birds", "Train"]), min_size=2, unique=True), st.integers(0, 3))
def test_the_depth_of_the_top_changes_nothing(labels: list[str], depth: int) -> None:
    plain = {f"{label}/1.jpg" for label in labels}
    below = {f"{'top/' * depth}{path}": path for path in plain}
    assert {below[path]: place for path, place in arrange([list(below)]).items()} == arrange([list(plain)])


def test_a_single_top_folder_with_a_splits_name_stays() -> None:
    assert arrange([["train/cats/1.jpg", "train/dogs/1.jpg"]])["train/cats/1.jpg"] == Place("train", "cats")


def test_a_class_may_be_called_train() -> None:
    assert arrange([["cars/1.jpg", "train/1.jpg"]])["train/1.jpg"] == Place(None, "train")


@pytest.mark.parametrize(("paths", "message"), [
    (["1.jpg", "2.jpg"], r"must lie in a class folder; '1\.jpg'"),
    (["cats/1.jpg", "dogs/1.jpg", "cover.jpg"], r"must lie in a class folder; 'cover\.jpg'"),
    (["cats/1.jpg"], "at least two class folders; received one, 'cats'"),
    (["pets/cats/1.jpg", "pets/cats/2.jpg"], "at least two class folders; received one, 'cats'"),
    (["train/cats/1.jpg", "test/cats/1.jpg"], "at least two class folders; received one, 'cats'"),
    (["cats/1.jpg", "dogs/old/1.jpg"], r"directly in its class folder; 'dogs/old/1\.jpg'"),
    (["train/cats/a/1.jpg", "train/dogs/1.jpg"], r"directly in its class folder; 'train/cats/a/1\.jpg'"),
    (["train/1.jpg", "test/1.jpg"], r"must lie in a class folder; 'train/1\.jpg'"),
    (["test/cats/1.jpg", "valid/dogs/1.jpg"], "needs one called train; received 'test', 'valid'"),
    (["train/cats/1.jpg", "train/dogs/1.jpg", "birds/1.jpg"], "'birds' beside 'train'"),
    (["README.md", "cats/notes.txt"], "needs pictures in class folders; none was received"),
])  # fmt: skip
def test_other_layouts_are_refused_with_advice(paths: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(sources(tmp_path, dict.fromkeys(paths, b"whatever")))


@pytest.mark.parametrize("top", ["", "pets/"])
def test_a_readme_sinks_no_set(top: str, tmp_path: Path) -> None:
    files = {
        "README.md": b"# Pets", "LICENSE": b"MIT", "docs/how/made.txt": b"by hand",
        "cats/1.jpg": DOT, "dogs/1.jpg": DOT, "cats/notes.txt": b"soft",
    }  # fmt: skip
    listing = read(sources(tmp_path, {top + path: data for path, data in files.items()}))
    # What lies among the pictures was meant as one, and counts as a bad one.
    assert {path.removeprefix(top) for path in classes(listing)} == {"cats/1.jpg", "dogs/1.jpg", "cats/notes.txt"}
    assert left_out(listing) == [(top + path, "stray_file") for path in ("LICENSE", "README.md", "docs/how/made.txt")]


def test_a_picture_is_told_by_its_content_where_its_name_says_nothing(tmp_path: Path) -> None:
    listing = read(sources(tmp_path, {"train/cats/0001": DOT, "train/dogs/0001": DOT, "train/readme": b"pets"}))
    assert classes(listing) == {"train/cats/0001": ("train", "cats"), "train/dogs/0001": ("train", "dogs")}
    assert left_out(listing) == [("train/readme", "stray_file")]
