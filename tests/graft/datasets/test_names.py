import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.datasets.names import clean_path, is_ignored
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
