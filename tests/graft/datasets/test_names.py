import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.datasets.names import NameTree, clean_folder, clean_path, is_ignored
from graft.errors import InvalidInput, TooLarge
from tests.graft.datasets.attacks.names import MEETINGS, NAMES


@pytest.mark.parametrize(("name", "path"), [
    ("cats/1.jpg", "cats/1.jpg"),
    ("./cats/1.jpg", "cats/1.jpg"),
    ("cats//1.jpg", "cats/1.jpg"),
    ("cafe\u0301/1.jpg", "caf\u00e9/1.jpg"),
    ("..cats/1..jpg", "..cats/1..jpg"),
    ("\u0645\u06cc\u200c\u062e/1.jpg", "\u0645\u06cc\u200c\u062e/1.jpg"),
    ("\U0001f469\u200d\U0001f680/\u732b 1 (2).jpg", "\U0001f469\u200d\U0001f680/\u732b 1 (2).jpg"),
    ("contact/con-1/nullify.jpg", "contact/con-1/nullify.jpg"),
    ("com10/console/ aux.jpg", "com10/console/ aux.jpg"),
])  # fmt: skip
def test_names_are_made_plain(name: str, path: str) -> None:
    assert clean_path(name) == path


@pytest.mark.parametrize(("name", "rule"), [
    *NAMES.values(),
    ("cats/1.jpg\0.txt", "control characters"),
    ("cats/\x7f.jpg", "control characters"),
    ("cats/\ud800.jpg", "must be UTF-8"),
    ("cats/a\ufffd.jpg", "must be UTF-8"),
    ("cats/3.jpg/", "end like a folder's"),
    ("cats/.", "end like a folder's"),
    ("cats/1.jpg:Zone.Identifier:$DATA", "a colon"),
    ("", "empty"),
])  # fmt: skip
def test_names_that_break_a_rule_are_refused(name: str, rule: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(rule)):
        clean_path(name)


@pytest.mark.parametrize(("name", "path"), [
    ("cats/", "cats"), ("./cats/./dogs//", "cats/dogs"), ("", ""), ("./", ""), ("/", ""), (".", ""),
])  # fmt: skip
def test_a_folders_name_may_end_with_a_slash_and_be_the_top(name: str, path: str) -> None:
    assert clean_folder(name) == path


@given(st.text(max_size=40))
def test_a_clean_path_never_leaves_its_folder(name: str) -> None:
    try:
        path = clean_path(name)
    except InvalidInput:
        return
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert clean_path(path) == path
    assert unicodedata.is_normalized("NFC", path)


@pytest.mark.parametrize("path", [
    "__MACOSX/cats/._1.jpg", "cats/.DS_Store", ".git/config", "cats/Thumbs.db", "cats/desktop.ini",
    "cats/1.jpg:Zone.Identifier",
])  # fmt: skip
def test_hidden_and_system_files_are_ignored(path: str) -> None:
    assert is_ignored(path)
    assert not is_ignored("cats/1.jpg")


@pytest.mark.parametrize("names", [("a/1", "a/2", "b/1"), ("a", "b/a"), ("\u00df", "s"), ("1.jpg", "1.JPEG")])
def test_names_that_differ_stand_side_by_side(names: tuple[str, ...]) -> None:
    tree = NameTree(entries=9)
    for name in names:
        tree.add_file(name)


@pytest.mark.parametrize("case", MEETINGS)
def test_names_that_meet_are_refused_in_either_order(case: str) -> None:
    (first, second), rule = MEETINGS[case]
    for one, other in ((first, second), (second, first)):
        tree = NameTree(entries=9)
        tree.add_file(clean_path(one))
        with pytest.raises(InvalidInput, match=re.escape(rule)):
            tree.add_file(clean_path(other))


def test_a_folder_may_come_again_and_no_file_may_have_its_name() -> None:
    tree = NameTree(entries=9)
    tree.add_folder("cats/small")
    tree.add_folder("cats")
    tree.add_file("cats/small/1.jpg")
    tree.add_folder("cats/small")
    with pytest.raises(InvalidInput, match=r"one in 'cats/small' is both"):
        tree.add_file("cats/small")
    with pytest.raises(InvalidInput, match=r"in 'CATS/2\.jpg', 'CATS' stands beside 'cats'"):
        tree.add_file("CATS/2.jpg")


def test_names_and_folders_are_counted() -> None:
    tree = NameTree(entries=3)
    for _ in range(3):
        tree.count("a")
    with pytest.raises(TooLarge, match="at most 3 entries"):
        tree.count("a")
    tree = NameTree(entries=3)
    tree.count("a/b/c/d/e")
    tree.add_file("a/b/c/d/e")
    with pytest.raises(TooLarge, match="at most 3 entries"):
        tree.count("f")
    with pytest.raises(TooLarge, match="at most 384 characters"):
        NameTree(entries=3).count("n" * 385)
