import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.datasets.checks import Place, arrange, clean_path, is_ignored
from graft.datasets.manifest import Split
from graft.errors import InvalidInput


@pytest.mark.parametrize(("name", "path"), [
    ("cats/1.jpg", "cats/1.jpg"),
    ("./cats/1.jpg", "cats/1.jpg"),
    ("cats//1.jpg", "cats/1.jpg"),
    ("cafe\u0301/1.jpg", "caf\u00e9/1.jpg"),
    ("..cats/1..jpg", "..cats/1..jpg"),
])  # fmt: skip
def test_names_are_made_plain(name: str, path: str) -> None:
    assert clean_path(name) == path


@pytest.mark.parametrize(("name", "rule"), [
    ("/etc/passwd", "relative"),
    ("//server/share/1.jpg", "relative"),
    ("C:/cats/1.jpg", "relative"),
    ("c:1.jpg", "relative"),
    ("../cats/1.jpg", r"'\.\.'"),
    ("cats/../../1.jpg", r"'\.\.'"),
    ("cats/..", r"'\.\.'"),
    ("cats\\1.jpg", "use / between"),
    ("..\\..\\1.jpg", "use / between"),
    ("cats/1.jpg\0.txt", "control characters"),
    ("cats/\n.jpg", "control characters"),
    ("", "empty"),
    ("./.", "empty"),
    ("cats/" + "a" * 256, "255 bytes"),
    ("a/" * 600 + "1.jpg", "1024 characters"),
])  # fmt: skip
def test_names_that_break_a_rule_are_refused(name: str, rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        clean_path(name)


@given(st.text(max_size=40))
def test_a_clean_path_never_leaves_its_folder(name: str) -> None:
    try:
        path = clean_path(name)
    except InvalidInput:
        return
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert clean_path(path) == path


@pytest.mark.parametrize("path", [
    "__MACOSX/cats/._1.jpg", "cats/.DS_Store", ".git/config", "cats/Thumbs.db", "cats/desktop.ini",
])  # fmt: skip
def test_hidden_and_system_files_are_ignored(path: str) -> None:
    assert is_ignored(path)
    assert not is_ignored("cats/1.jpg")


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
