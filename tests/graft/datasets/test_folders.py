import pytest

from graft.datasets.folders import Place, arrange
from graft.datasets.manifest import Split
from graft.errors import InvalidInput


def test_folders_are_classes() -> None:
    assert arrange(["cats/1.jpg", "dogs/1.jpg"]) == {
        "cats/1.jpg": Place(None, "cats"),
        "dogs/1.jpg": Place(None, "dogs"),
    }


@pytest.mark.parametrize(("folder", "split"), [
    ("train", "train"), ("valid", "validation"), ("val", "validation"), ("validation", "validation"), ("test", "test"),
    ("Test", "test"),
])  # fmt: skip
def test_split_folders_name_splits(folder: str, split: Split) -> None:
    places = arrange(["train/cats/1.jpg", "train/dogs/1.jpg", f"{folder}/cats/2.jpg"])
    assert places[f"{folder}/cats/2.jpg"] == Place(split, "cats")


@pytest.mark.parametrize("top", ["pets", "my/pets"])
def test_folders_that_hold_everything_are_stripped(top: str) -> None:
    places = arrange([f"{top}/cats/1.jpg", f"{top}/dogs/1.jpg"])
    assert {place.label for place in places.values()} == {"cats", "dogs"}
    assert all(place.split is None for place in places.values())


def test_a_single_top_folder_with_a_splits_name_stays() -> None:
    assert arrange(["train/cats/1.jpg", "train/dogs/1.jpg"])["train/cats/1.jpg"] == Place("train", "cats")


def test_a_class_may_be_called_train() -> None:
    assert arrange(["cars/1.jpg", "train/1.jpg"])["train/1.jpg"] == Place(None, "train")


@pytest.mark.parametrize(("paths", "message"), [
    ([], "holds no files"),
    (["1.jpg", "2.jpg"], r"must lie in a class folder; '1\.jpg'"),
    (["cats/1.jpg", "dogs/1.jpg", "readme.txt"], r"must lie in a class folder; 'readme\.txt'"),
    (["cats/1.jpg"], "at least two class folders; received one, 'cats'"),
    (["pets/cats/1.jpg", "pets/cats/2.jpg"], "at least two class folders; received one, 'cats'"),
    (["train/cats/1.jpg", "test/cats/1.jpg"], "at least two class folders; received one, 'cats'"),
    (["cats/1.jpg", "dogs/old/1.jpg"], r"directly in its class folder; 'dogs/old/1\.jpg'"),
    (["train/cats/a/1.jpg", "train/dogs/1.jpg"], r"directly in its class folder; 'train/cats/a/1\.jpg'"),
    (["train/1.jpg", "test/1.jpg"], r"must lie in a class folder; 'train/1\.jpg'"),
    (["test/cats/1.jpg", "valid/dogs/1.jpg"], "needs one called train; received 'test', 'valid'"),
    (["train/cats/1.jpg", "train/dogs/1.jpg", "birds/1.jpg"], "'birds' beside 'train'"),
])  # fmt: skip
def test_other_layouts_are_refused_with_advice(paths: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        arrange(paths)
