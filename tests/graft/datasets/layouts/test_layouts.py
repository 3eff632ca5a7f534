import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.datasets import ArchiveLimits, layouts
from graft.datasets.checking.checks import FLAWS
from graft.datasets.layouts.boxes import MIN_CROP
from graft.datasets.layouts.cifar import MAX_PARTS
from graft.datasets.layouts.coco import MAX_BYTES
from graft.datasets.layouts.conventions import MAX_NAMES, split_of
from graft.datasets.layouts.delimited import AT_ONCE, MAX_LINE
from graft.datasets.layouts.listing import Sources
from graft.datasets.layouts.making import MAX_MADE, MAX_PIXELS
from graft.datasets.layouts.metadata import MAX_FILES, MAX_LINES
from graft.datasets.layouts.open_images import MAX_DESCRIPTIONS
from graft.errors import InvalidInput
from tests.graft.datasets.layouts.reading import DOT, classes, left_out, read, sources

PETS = {"cats/1.jpg": DOT, "dogs/1.jpg": DOT}
TABLE = {"metadata.csv": b"file_name,label\ncats/1.jpg,big\ndogs/1.jpg,small\n"}


def test_no_files_make_no_dataset() -> None:
    with pytest.raises(InvalidInput, match=r"this one has no files.*cats/1\.jpg.*metadata\.csv"):
        layouts.check(Sources([], Path))


def test_labels_that_are_written_down_win_over_folders(tmp_path: Path) -> None:
    assert {file.label for file in read(sources(tmp_path, PETS)).files} == {"cats", "dogs"}
    assert {file.label for file in read(sources(tmp_path, PETS | TABLE)).files} == {"big", "small"}


@pytest.mark.parametrize("extra", [
    {"info.json": json.dumps({"images": ["a", "b"], "categories": {"id": 1}}).encode()},
    {"labels.csv": b"id,breed\n1,siamese\n"},
    {"train.bin": b"weights", "test.bin": b"weights"},
    {"train": b"text", "meta": b"text"},
    {f"notes/{i}.json": b'{"images": [{"file_name": "a"}]}' for i in range(101)},
    {f"notes/{i}.csv": b"ImageID,LabelName,Confidence\n" for i in range(101)},
])  # fmt: skip
def test_class_folders_are_not_taken_for_what_they_are_not(extra: dict[str, bytes], tmp_path: Path) -> None:
    listing = read(sources(tmp_path, PETS | extra))
    assert classes(listing) == {"cats/1.jpg": (None, "cats"), "dogs/1.jpg": (None, "dogs")}
    assert left_out(listing) == [(path, "stray_file") for path in sorted(extra)]


def test_labels_may_come_in_another_batch_than_the_pictures(tmp_path: Path) -> None:
    assert len(read(sources(tmp_path, PETS, TABLE)).files) == 2


def test_every_file_is_used_or_told_once(tmp_path: Path) -> None:
    given_files = sources(tmp_path, PETS | TABLE | {"cats/2.jpg": DOT, "README.md": b""})
    listing = read(given_files)
    told = [file.path for file in listing.files] + [str(note.path) for note in listing.notes] + [*listing.used]
    assert sorted(told) == sorted(given_files.entries)


@pytest.mark.parametrize(("path", "split"), [
    ("annotations/instances_train2017.json", "train"), ("instances_val2017.json", "validation"),
    ("oidv6-train-annotations-bbox.csv", "train"), ("validation-annotations-bbox.csv", "validation"),
    ("valid/_annotations.coco.json", "validation"), ("image_info_test-dev2017.json", "test"),
    ("annotations/instances_default.json", None), ("trainval.json", None), ("latest.json", None),
    ("train/images/labels.json", None),
])  # fmt: skip
def test_a_split_is_named_by_a_word(path: str, split: str | None) -> None:
    assert split_of(path) == split


@given(st.text("abtrainvles/._-1", max_size=30))
def test_any_path_has_a_split_or_none(path: str) -> None:
    assert split_of(path) in (None, "train", "validation", "test")


DOCS = Path(__file__).parents[4] / "docs" / "datasets.md"


def test_the_guide_names_every_code_and_every_limit() -> None:
    text = DOCS.read_text()
    notes = "".join(path.read_text() for path in Path(layouts.__file__).parent.glob("*.py"))
    codes = set(re.findall(r'Problem\(\s*\w+,\s*"(\w+)"', notes))
    assert len(codes) == 7
    assert {found for found in codes | FLAWS if f"`{found}`" not in text} == set()
    limits = (f"{number:,}" for number in (MAX_MADE, MAX_PIXELS, MAX_LINES, MAX_LINE, MAX_NAMES, MAX_DESCRIPTIONS))
    assert [limit for limit in limits if limit not in text] == []
    assert f"| {MAX_FILES}, of" in text
    assert f"| {MAX_PARTS} |" in text
    assert f"over {AT_ONCE // 1024} KiB" in text
    assert f"{MAX_BYTES // 1024**2} MiB" in text
    assert f"{MIN_CROP} x {MIN_CROP} pixels" in text
    assert f"{ArchiveLimits().data_bytes // 1024**3} GiB" in text
