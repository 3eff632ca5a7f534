"""Open Images' tables as storage.googleapis.com/openimages/web/download_v7.html describes them."""

from pathlib import Path

import numpy as np
import pytest

from graft.datasets import Datasets, layouts
from graft.datasets.layouts import making
from graft.datasets.layouts.delimited import AT_ONCE
from graft.datasets.layouts.marks import MAX_LABELS, Annotations, Marks
from graft.errors import Interrupted, InvalidInput, TooLarge
from tests.graft.datasets.layouts.reading import Made, classes, left_out, read, sources
from tests.graft.datasets.layouts.ready import counts, ready
from tests.graft.datasets.layouts.ready import left_out as left_out_of
from tests.graft.datasets.layouts.test_coco import pixels, png
from tests.monitors import Recorder

CLASSES = b"LabelName,DisplayName\n/m/01yrx,Cat\n/m/0bt9lr,Dog\n"
LABELS = b"ImageID,Source,LabelName,Confidence\n"
BOXES = (
    b"ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)
TRAIN = LABELS + (
    b"000a,verification,/m/01yrx,1\n"
    b"000a,verification,/m/0bt9lr,0\n"  # people said that there is no dog
    b"000b,crowdsource-verification,/m/0bt9lr,1.0\n"
    b"000c,verification,/m/01yrx,1\n000c,verification,/m/0bt9lr,1\n"
    b"ffff,verification,/m/01yrx,1\neeee,verification,/m/01yrx,1\n"
)
PICTURES = {"train/000a.jpg": png(1), "train/000b.jpg": png(2), "train/000c.jpg": png(3), "test/000d.jpg": png(4)}
FILES = PICTURES | {
    "oidv7-class-descriptions.csv": CLASSES,
    "train-annotations-human-imagelabels.csv": TRAIN,
    "test-annotations-human-imagelabels.csv": LABELS + b"000d,verification,/m/01yrx,1\n",
}


def test_labels_of_pictures_become_a_ready_dataset(datasets: Datasets) -> None:
    dataset, _ = ready(datasets, FILES)
    assert counts(dataset) == {"train": {"Cat": 1, "Dog": 1}, "test": {"Cat": 1}}
    assert left_out_of(dataset) == {(None, "missing_pictures"), ("train/000c.jpg", "several_labels")}
    assert any("2 of the 7 entries of 'train-annotations" in problem["message"] for problem in dataset.problems)


LABELS_OF_TRAIN = "train-annotations-human-imagelabels.csv"
WITH_BOXES = FILES | {
    "train-annotations-bbox.csv": BOXES
    + b"000a,xclick,/m/01yrx,1,0.25,0.75,0.5,1,0,0,0,0,0\n"
    + b"000a,xclick,/m/0bt9lr,1,-0.1,0.5,0,0.25,0,1,0,0,0\n"
    + b"000b,xclick,/m/0bt9lr,1,0,1,0,1,0,0,1,0,0\n"  # a group
    + b"000c,xclick,/m/0bt9lr,1,0.5,0.51,nan,1,0,0,0,0,0\n"
}


def test_boxes_are_cut_out(datasets: Datasets, tmp_path: Path) -> None:
    made = Made()
    listing = read(sources(tmp_path, WITH_BOXES), made)
    assert classes(listing) == {"train/000a.jpg/1.png": ("train", "Cat"), "train/000a.jpg/2.png": ("train", "Dog")}
    assert np.array_equal(np.asarray(made.image(listing.files[0].sha256)), pixels(1)[24:48, 16:48])
    assert np.array_equal(np.asarray(made.image(listing.files[1].sha256)), pixels(1)[0:12, 0:32])
    assert left_out(listing) == [
        ("train/000b.jpg", "no_label"), ("train/000c.jpg/1.png", "small_box"), ("test/000d.jpg", "unlisted"),
    ]  # fmt: skip
    dataset, _ = ready(datasets, WITH_BOXES)
    assert counts(dataset) == {"train": {"Cat": 1, "Dog": 1}}


def test_whole_pictures_go_by_their_labels_where_there_are_some(tmp_path: Path) -> None:
    assert classes(read(sources(tmp_path, WITH_BOXES, boxes="whole"))) == {
        "train/000a.jpg": ("train", "Cat"), "train/000b.jpg": ("train", "Dog"), "test/000d.jpg": ("test", "Cat"),
    }  # fmt: skip


def test_descriptions_without_a_header_and_labels_without_description(tmp_path: Path) -> None:
    files = {
        "class-descriptions-boxable.csv": b"/m/01yrx,Cat\n",
        "labels.csv": TRAIN,
        "a/000a.jpg": png(1),
        "000b.png": png(2),
    }
    assert classes(read(sources(tmp_path, files))) == {"a/000a.jpg": (None, "Cat"), "000b.png": (None, "/m/0bt9lr")}


@pytest.mark.parametrize(("name", "data", "message"), [
    (LABELS_OF_TRAIN, TRAIN + b"000b,x,/m/01yrx,high\n", "Confidence must be a number; .*line 9"),
    (LABELS_OF_TRAIN, TRAIN + b"000b,x,/m/01yrx\n", "as many cells as the first, 4; .* line 9"),
    (LABELS_OF_TRAIN, TRAIN + b"000b,x,,1\n", "1 to 255 printable characters"),
    (LABELS_OF_TRAIN, TRAIN + b"000d,x,/m/01yrx,1\n", "belongs to one split"),
    ("validation-annotations-bbox.csv", BOXES + b"000a,x,/m/01yrx,1,left,1,0,1,0,0,0,0,0\n", "XMin must be a number"),
    ("oidv7-class-descriptions.csv", b"/m/01yrx\n", "must have a LabelName, .* line 1, does not"),
    ("oidv7-class-descriptions.csv", b"/" * 256 + b",Cat\n", "at most 255 characters, .* line 1, does not"),
    ("oidv7-class-descriptions.csv", CLASSES + b"/m/0,\xff\n", "must be UTF-8 text; .*line 4"),
])  # fmt: skip
def test_what_is_wrong_is_said(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message) as raised:
        read(sources(tmp_path, FILES | {name: data}))
    assert str(raised.value).endswith("(The files were read as Open Images' tables.)")


def test_boxes_are_counted_and_labels_few_as_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes behind the limit is not looked at."""
    monkeypatch.setattr(making, "MAX_MADE", 10)
    table = BOXES + b"000a,xclick,/m/01yrx,1,0,1,0,1,0,0,0,0,0\n" * 11 + b"a,b\n"
    with pytest.raises(TooLarge, match="At most 10 pictures can be made"):
        read(sources(tmp_path, FILES | {"train-annotations-bbox.csv": table}))
    said = Marks(sources(tmp_path, PICTURES), with_suffix=False)
    picture = Annotations("train.csv", said).picture("train/000a.jpg", None)
    for number in range(99):
        said.add(picture, str(number))
    assert len(picture.labels) == MAX_LABELS


def test_it_stops_when_asked(tmp_path: Path) -> None:
    """Before anything is made."""
    watch = Recorder(stop_after=0)
    with pytest.raises(Interrupted):
        read(sources(tmp_path, FILES), monitor=watch)
    assert watch.reports == []


def test_descriptions_have_one_budget(tmp_path: Path) -> None:
    many = {f"{n}/class-descriptions.csv": b"/m/0,cat\n" + b"\n" * 50_000 for n in range(2)}
    with pytest.raises(TooLarge, match="Descriptions may have at most 100,000 lines in all"):
        layouts.check(sources(tmp_path, FILES | many))


def test_long_descriptions_are_read_by_the_job(tmp_path: Path) -> None:
    rows = b"".join(b"%d,%s\n" % (number, b"word " * 50) for number in range(AT_ONCE // 250))
    given = sources(tmp_path, FILES | {"class-descriptions.csv": rows + b"/m/1\n"})
    layouts.check(given)
    with pytest.raises(InvalidInput, match=r"does not\."):
        read(given)


def test_tables_without_their_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="none that the tables name is there"):
        read(sources(tmp_path, {"train.csv": TRAIN, "cat.jpg": png(1)}))
