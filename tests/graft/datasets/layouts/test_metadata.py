from collections.abc import Mapping
from pathlib import Path

import pytest

from graft.datasets import layouts
from graft.datasets.layouts.delimited import AT_ONCE, MAX_LINE
from graft.datasets.layouts.metadata import MAX_LINES
from graft.errors import InvalidInput, TooLarge
from tests.graft.datasets.layouts.reading import DOT, classes, left_out, read, sources

PICTURES = dict.fromkeys(["images/1.jpg", "images/2.jpg", "images/3.jpg"], DOT)
JSONL = b'{"file_name": "images/1.jpg", "label": "cat"}\n\n{"file_name": "images/2.jpg", "label": 7, "text": [1, 2]}\n'


def table(text: str) -> dict[str, bytes]:
    return PICTURES | {"metadata.csv": text.encode()}


def test_a_table_names_classes_and_splits(tmp_path: Path) -> None:
    text = 'split,file_name,breed,label\ntrain,images/1.jpg,"x, y",cat\n'
    text += 'Val,images\\2.jpg,,"big ""dog"""\n,./images/3.jpg,,cat\n'
    listing = read(sources(tmp_path, table(text)))
    assert classes(listing) == {
        "images/1.jpg": ("train", "cat"), "images/2.jpg": ("validation", 'big "dog"'), "images/3.jpg": (None, "cat"),
    }  # fmt: skip
    assert left_out(listing) == []


@pytest.mark.parametrize("text", [
    "\ufefffile_name,label\r\nimages/1.jpg,cat\r\nimages/2.jpg,dog\r\n",
    "file_name;label\nimages/1.jpg;cat\nimages/2.jpg;dog",
    "file_name\tlabel\nimages/1.jpg\tcat \n\nimages/2.jpg\tdog\n",
    "file_name,label\nimages/1.jpg,cat\nimages/2.jpg,dog\nimages/1.jpg,cat\n",
])  # fmt: skip
def test_tables_as_spreadsheets_write_them(text: str, tmp_path: Path) -> None:
    listing = read(sources(tmp_path, table(text)))
    assert classes(listing) == {"images/1.jpg": (None, "cat"), "images/2.jpg": (None, "dog")}
    assert left_out(listing) == [("images/3.jpg", "unlisted")]


def test_lines_of_json(tmp_path: Path) -> None:
    listing = read(sources(tmp_path, PICTURES | {"metadata.jsonl": JSONL}))
    assert classes(listing) == {"images/1.jpg": (None, "cat"), "images/2.jpg": (None, "7")}


def test_each_split_may_have_its_own(tmp_path: Path) -> None:
    """As Hugging Face's imagefolder has it."""
    rows = b"file_name,label\n1.jpg,cat\n2.jpg,dog\n"
    files = {f"pets/{split}/{name}": DOT for split in ("train", "test") for name in ("1.jpg", "2.jpg")}
    files |= {"pets/train/metadata.csv": rows, "pets/test/metadata.csv": rows, "pets/README.md": b""}
    listing = read(sources(tmp_path, files))
    assert classes(listing) == {
        "pets/train/1.jpg": ("train", "cat"), "pets/train/2.jpg": ("train", "dog"),
        "pets/test/1.jpg": ("test", "cat"), "pets/test/2.jpg": ("test", "dog"),
    }  # fmt: skip
    assert left_out(listing) == [("pets/README.md", "stray_file")]


HEAD = "file_name,label,split\nimages/1.jpg,cat,\n"


@pytest.mark.parametrize(("files", "message"), [
    (table(HEAD + "images/9.jpg,dog,\n"), r"'metadata\.csv', line 3, names 'images/9\.jpg', and no such file"),
    (table(HEAD + "../images/2.jpg,dog,\n"), r"line 3: A file's name may not"),
    (table(HEAD + "images/1.jpg,dog,\n"), r"line 3, says 'dog' and no split of 'images/1\.jpg', and a row before it"),
    (table(HEAD + "images/1.jpg,cat,test\n"), r"line 3, says 'cat' and test of"),
    (table(HEAD + "images/2.jpg,dog,dev\n"), r"one of train, valid, .*; 'metadata\.csv', line 3, has 'dev'"),
    (table(HEAD + "images/2.jpg, ,\n"), r"1 to 255 printable characters; 'metadata\.csv', line 3 has ''"),
    (table(HEAD + "images/2.jpg,do\0g,\n"), "printable characters"),
    (table(HEAD + "images/2.jpg,dog\n"), r"as many cells as the first, 3; 'metadata\.csv', line 3, has 2"),
    (table(HEAD + 'images/2.jpg,"dog'), r"as RFC 4180 has it; 'metadata\.csv', line 3"),
    (table("file_name,class\nimages/1.jpg,cat\n"), "label is not among 'file_name', 'class'"),
    (table("a\n" + "x" * MAX_LINE + "x"), "line 2 of 'metadata.csv' has more"),
    (table("file_name,label\n"), "at least two classes; there is none"),
    (table("file_name,label\nimages/1.jpg,cat\nimages/2.jpg,cat\n"), "at least two classes; all are 'cat'"),
    (table("file_name,label,split\nimages/1.jpg,cat,test\nimages/2.jpg,dog,val\n"), "all are for test and validation"),
    (PICTURES | {"metadata.csv": "file_name,label\nimages/1.jpg,caf\xe9\n".encode("latin-1")}, "line 2, is not. Save"),
    (PICTURES | {"metadata.jsonl": JSONL + b'{"file_name": "1.jpg"}'}, "line 4: .*missing required field `label`"),
    (PICTURES | {"metadata.jsonl": JSONL + b'{"file_name": "1.jpg", "label": true}'}, "line 4: Expected `int | str`"),
    (PICTURES | {"metadata.jsonl": JSONL + b'{"file_name"'}, "line 4: Input data was truncated"),
    (PICTURES | {"metadata.jsonl": JSONL + b"[" * 60_000}, "line 4"),
])  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(files: Mapping[str, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message) as raised:
        read(sources(tmp_path, files))
    assert str(raised.value).endswith("(The files were read as pictures with a metadata file.)")


def test_all_files_have_one_budget_of_lines(tmp_path: Path) -> None:
    half = b"file_name,label\n1.jpg,cat\n" + b"\n" * (MAX_LINES // 2)
    files = {"a/1.jpg": DOT, "a/metadata.csv": half, "b/1.jpg": DOT, "b/metadata.csv": half}
    with pytest.raises(TooLarge, match="Metadata files may have at most 500,000 lines in all"):
        layouts.check(sources(tmp_path, files))


def test_metadata_files_are_counted(tmp_path: Path) -> None:
    tables = {f"{number}/metadata.csv": b"file_name,label\n" for number in range(101)}
    with pytest.raises(TooLarge, match="at most 100 metadata files; this one has 101"):
        layouts.check(sources(tmp_path, PICTURES | tables))


def long(rows: str) -> dict[str, bytes]:
    """More than is read before a call is answered."""
    text = "x" * (MAX_LINE - 100)
    return table(rows + f"images/1.jpg,cat,{text}\n" * (AT_ONCE // len(text) + 1) + "images/2.jpg,dog,\n")


def test_the_rows_of_a_long_table_are_read_by_the_job(tmp_path: Path) -> None:
    given = sources(tmp_path, long('file_name,label,"of several\nlines"\n'))
    assert classes(read(given)) == {"images/1.jpg": (None, "cat"), "images/2.jpg": (None, "dog")}
    given = sources(tmp_path, long("file_name,label,text\nimages/9.jpg,cat,\n"))
    layouts.check(given)
    with pytest.raises(InvalidInput, match=r"line 2, names 'images/9\.jpg', and no such file"):
        read(given)


def test_the_columns_of_a_long_table_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="file_name is not among 'filename', 'label', 'text'"):
        layouts.check(sources(tmp_path, long("filename,label,text\n")))
