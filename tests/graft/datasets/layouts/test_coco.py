"""COCO's annotations as cocodataset.org/#format-data has them."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graft.datasets import Datasets, layouts
from graft.datasets.layouts import making
from graft.errors import DiskFull, Interrupted, InvalidInput, TooLarge
from tests.drawing import encode
from tests.graft.datasets.layouts.reading import Made, classes, left_out, read, sources
from tests.graft.datasets.layouts.ready import counts, ready
from tests.graft.datasets.layouts.ready import left_out as left_out_of
from tests.monitors import Recorder

CATEGORIES = [
    {"supercategory": "animal", "id": 17, "name": "cat"},
    {"supercategory": "animal", "id": 18, "name": "dog"},
]


def pixels(seed: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def png(seed: int, width: int = 64, height: int = 48) -> bytes:
    return encode(Image.fromarray(pixels(seed, width, height)), "PNG")


def image(id: int, name: str, **more: Any) -> dict[str, Any]:
    return {"license": 3, "file_name": name, "height": 48, "width": 64, "date_captured": "2013-11-14", "id": id} | more


def annotation(image_id: int, category_id: int, *bbox: float, **more: Any) -> dict[str, Any]:
    polygon = {"segmentation": [[1.5, 2, 3, 4]], "area": 702.1, "iscrowd": 0, "id": 1768}
    return polygon | {"image_id": image_id, "category_id": category_id, "bbox": bbox} | more


def coco(images: list[Any], annotations: list[Any], categories: list[Any] = CATEGORIES) -> bytes:
    info = {"description": "COCO 2017 Dataset", "url": "http://cocodataset.org"}
    return json.dumps(
        {"info": info, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
    ).encode()


TRAIN = coco(
    [image(1, "1.png"), image(2, "2.png"), image(3, "3.png"), image(9, "9.png")],
    [
        annotation(1, 17, 10.2, 5.4, 20.5, 30.1),
        annotation(2, 18, 0, 0, 64, 48),
        annotation(1, 18, 40, 20, 500, 500),  # beyond the edge
        annotation(1, 18, 0, 0, 64, 48, iscrowd=1, segmentation={"counts": [1, 2], "size": [48, 64]}),
        annotation(2, 17, 30, 30, 20, 3.2),
        annotation(9, 17, 0, 0, 9, 9),
    ],
)
VAL = coco([image(4, "4.png")], [annotation(4, 17, 1, 1, 20, 20)])
FILES = {
    "annotations/instances_train2017.json": TRAIN,
    "annotations/instances_val2017.json": VAL,
    "annotations/captions_val2017.json": coco([image(4, "4.png")], [{"image_id": 4, "id": 1, "caption": "A cat."}]),
    "train2017/1.png": png(1), "train2017/2.png": png(2), "train2017/3.png": png(3), "val2017/4.png": png(4),
}  # fmt: skip


def test_each_box_becomes_a_picture(datasets: Datasets) -> None:
    dataset, manifest = ready(datasets, FILES)
    assert counts(dataset) == {"train": {"cat": 1, "dog": 2}, "validation": {"cat": 1}}
    assert [picture.path for picture in manifest.of("train")] == [
        "train2017/1.png/1.png", "train2017/1.png/2.png", "train2017/2.png/1.png",
    ]  # fmt: skip
    assert left_out_of(dataset) == {
        (None, "missing_pictures"), ("train2017/2.png/2.png", "small_box"), ("train2017/3.png", "no_label"),
    }  # fmt: skip
    assert any("1 of the 4" in problem["message"] and "'9.png'" in problem["message"] for problem in dataset.problems)


def test_crops_are_the_pixels_of_their_boxes(tmp_path: Path) -> None:
    made = Made()
    by_path = {file.path: np.asarray(made.image(file.sha256)) for file in read(sources(tmp_path, FILES), made).files}
    assert np.array_equal(by_path["train2017/1.png/1.png"], pixels(1)[5:36, 10:31])
    assert np.array_equal(by_path["train2017/1.png/2.png"], pixels(1)[20:48, 40:64])
    assert np.array_equal(by_path["train2017/2.png/1.png"], pixels(2))


def test_a_picture_of_one_category_can_be_used_whole(datasets: Datasets) -> None:
    train = coco(
        [image(1, "1.png"), image(2, "2.png"), image(3, "3.png")],
        [annotation(n, category, 1, 1, 9, 9) for n, category in ((1, 17), (1, 17), (2, 17), (2, 18), (3, 18))],
    )
    dataset, manifest = ready(datasets, FILES | {"annotations/instances_train2017.json": train}, boxes="whole")
    assert counts(dataset) == {"train": {"cat": 1, "dog": 1}, "validation": {"cat": 1}}
    assert [picture.path for picture in manifest.of("train")] == ["train2017/1.png", "train2017/3.png"]
    assert left_out_of(dataset) == {("train2017/2.png", "several_labels")}


def test_each_split_may_have_its_folder(tmp_path: Path) -> None:
    """As Roboflow exports it: the same names in each, and ids that start anew."""
    both = [annotation(1, 17, 0, 0, 30, 30), annotation(1, 18, 30, 0, 30, 30)]
    files = {f"{split}/_annotations.coco.json": coco([image(1, "1.png")], both) for split in ("train", "valid")}
    listing = read(sources(tmp_path, files | {"train/1.png": png(1), "valid/1.png": png(2), "README.txt": b""}))
    assert classes(listing) == {
        "train/1.png/1.png": ("train", "cat"), "train/1.png/2.png": ("train", "dog"),
        "valid/1.png/1.png": ("validation", "cat"), "valid/1.png/2.png": ("validation", "dog"),
    }  # fmt: skip
    assert left_out(listing) == [("README.txt", "stray_file")]


def test_pictures_of_one_name_are_told_by_the_split_of_their_folder(tmp_path: Path) -> None:
    files = {
        f"annotations/{s}.json": coco([image(1, "1.png")], [annotation(1, 17, 0, 0, 9, 9)]) for s in ("train", "val")
    }
    files["annotations/train.json"] = coco([image(1, "1.png")], [annotation(1, 18, 0, 0, 9, 9)])
    listing = read(sources(tmp_path, files | {"images/train/1.png": png(1), "images/val/1.png": png(2)}))
    assert classes(listing) == {
        "images/train/1.png/1.png": ("train", "dog"), "images/val/1.png/1.png": ("validation", "cat"),
    }  # fmt: skip


def one(*annotations: dict[str, Any], **shape: Any) -> bytes:
    """Two boxes in the picture 1.png, of a shape."""
    return coco([image(1, "1.png", **shape)], list(annotations))


def turned(orientation: int) -> bytes:
    """Stored as 64 x 48, and shown as its EXIF orientation says."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[274] = orientation
    Image.fromarray(pixels(1)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(("shape", "bbox"), [
    ((64, 48), (10, 20, 30, 12)),  # as it is stored
    ((48, 64), (16, 10, 12, 30)),  # as it is shown, a quarter clockwise: x is 48 - 20 - 12
])  # fmt: skip
def test_boxes_lie_where_they_were_drawn_and_crops_are_upright(
    shape: tuple[int, int], bbox: tuple[float, ...], tmp_path: Path
) -> None:
    made = Made()
    boxes = one(annotation(1, 17, *bbox), annotation(1, 18, 0, 0, 9, 9), width=shape[0], height=shape[1])
    listing = read(sources(tmp_path, {"a.json": boxes, "1.png": turned(6)}), made)
    crop = made.image(listing.files[0].sha256)
    assert np.array_equal(np.asarray(crop), np.rot90(pixels(1)[20:32, 10:40], -1))
    assert crop.getexif() == {}


def test_a_picture_that_was_made_smaller_keeps_its_boxes(tmp_path: Path) -> None:
    made = Made()
    boxes = one(annotation(1, 17, 20, 20, 40, 20), annotation(1, 18, 0, 0, 20, 20), width=128, height=96)
    listing = read(sources(tmp_path, {"a.json": boxes, "1.png": png(1)}), made)
    assert np.array_equal(np.asarray(made.image(listing.files[0].sha256)), pixels(1)[10:20, 10:30])


def test_pictures_that_cannot_be_cut_are_told(tmp_path: Path) -> None:
    names = ["good.png", "square.png", "broken.png", "large.png", "text.png"]
    files = {
        "good.png": png(1),
        "square.png": png(1, 50, 50),
        "broken.png": png(1)[:-400],
        "text.png": b"text",
        "large.png": png(1, 200, 150),
    }
    boxes = [annotation(n, 17 + n % 2, 0, 0, 30, 30) for n in range(5)] + [annotation(0, 18, 0, 0, 9, 9)]
    data = coco([image(n, name) for n, name in enumerate(names)], boxes)
    given = sources(tmp_path, {"a.json": data} | files, max_pixels=20_000)
    listing = read(given)
    assert classes(listing) == {"good.png/1.png": (None, "cat"), "good.png/2.png": (None, "dog")}
    assert sorted(left_out(listing)) == [
        ("broken.png", "truncated"), ("large.png", "too_large"),
        ("square.png", "other_shape"), ("text.png", "not_a_picture"),
    ]  # fmt: skip


CAT, DOG = annotation(1, 17, 0, 0, 9, 9), annotation(1, 18, 0, 0, 9, 9)


@pytest.mark.parametrize(("data", "message"), [
    (one(CAT, DOG)[:-5], "is not: Input data was truncated"),
    (one(CAT, DOG | {"bbox": [1, 2, 3]}), r"Expected `array` of length 4 - at `\$\.annotations\[1\]\.bbox`"),
    (one(CAT, DOG | {"image_id": None}), r"at `\$\.annotations\[1\]\.image_id`"),
    (one(CAT, DOG | {"image_id": 2}), "annotation 1: image_id 2 is not there"),
    (one(CAT, DOG | {"category_id": 1}), "annotation 1: category_id 1 is not there"),
    (one(CAT, {"image_id": 1, "id": 5, "caption": "A dog."}), "annotation 1, has none, as captions have"),
    (one(CAT), "at least two classes; all are 'cat'"),
    (one(), "at least two classes; there is none"),
    (coco([image(1, "2.png")], [CAT, DOG]), "of the 1 that 'a.json' names none is there"),
    (coco([image(1, "1.png")], [CAT, DOG], [CATEGORIES[0], {"id": 18, "name": " "}]), "category 18 has ''"),
    (json.dumps({"images": [image(1, "1.png")], "annotations": {}}).encode(), r"Expected `array`, got `object`"),
    (b'{"images": [{"file_name": "1.png", "x": ' + b"[" * 100_000, "is not"),
])  # fmt: skip
def test_what_is_wrong_is_said(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message) as raised:
        read(sources(tmp_path, {"a.json": data, "1.png": png(1)}))
    assert str(raised.value).endswith("(The files were read as COCO annotations.)")


@pytest.mark.parametrize("files", [
    {"a.json": one(CAT, DOG), "x/1.png": png(1), "y/1.png": png(2)},
    {"train.json": one(CAT, DOG), "val.json": one(CAT, DOG), "1.png": png(1)},
])  # fmt: skip
def test_a_picture_is_one_and_in_one_split(files: Mapping[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"which picture they mean|belongs to one split"):
        read(sources(tmp_path, files))


def test_a_byte_order_mark_and_names_as_ids_are_taken(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + json.dumps({
        "annotations": [{"image_id": "a", "category_id": "c", "bbox": [0, 0, 9, 9]},
                        {"image_id": "a", "category_id": "d", "bbox": [9, 9, 9, 9]}],
        "images": [{"id": "a", "file_name": "pets\\1.png"}],
        "categories": [{"id": "c", "name": "cat"}, {"id": "d", "name": "dog"}],
    }).encode()  # fmt: skip
    listing = read(sources(tmp_path, {"a.json": data, "set/pets/1.png": png(1)}))
    assert [file.label for file in listing.files] == ["cat", "dog"]


def test_it_stops_when_asked(tmp_path: Path) -> None:
    """Before anything is made."""
    watch = Recorder(stop_after=0)
    with pytest.raises(Interrupted):
        read(sources(tmp_path, FILES), monitor=watch)
    assert watch.reports == []


def test_boxes_are_counted_as_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes behind the limit is not looked at. Whole pictures may have any number."""
    monkeypatch.setattr(making, "MAX_MADE", 10)
    data = one(*[CAT] * 11, DOG | {"image_id": 9})
    with pytest.raises(TooLarge, match="At most 10 pictures can be made"):
        read(sources(tmp_path, {"a.json": data, "1.png": png(1)}))
    both = coco([image(1, "1.png"), image(2, "2.png")], [*[CAT] * 11, annotation(2, 18, 0, 0, 9, 9)])
    given = sources(tmp_path, {"a.json": both, "1.png": png(1), "2.png": png(2)}, boxes="whole")
    assert len(read(given).files) == 2


def test_a_full_disk_is_no_fault_of_the_picture(tmp_path: Path) -> None:
    def keep(_: bytes) -> str:
        raise DiskFull("full")

    with pytest.raises(DiskFull):
        layouts.read(sources(tmp_path, FILES), keep, Recorder())


NUMBERS = st.floats(-1e300, 1e300) | st.floats(-10, 80) | st.integers(-5, 70)


@settings(max_examples=60)
@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def test_any_box_is_cut_within_the_picture_or_told(
    tmp_path_factory: pytest.TempPathFactory, bbox: tuple[float, ...]
) -> None:
    made = Made()
    whole = [annotation(1, 17, 0, 0, 64, 48), annotation(1, 18, 0, 0, 64, 48)]
    files = {"a.json": one(*whole, annotation(1, 17, *bbox)), "1.png": png(1)}
    listing = read(sources(tmp_path_factory.getbasetemp(), files), made)
    assert len(listing.files) + len(listing.notes) == 3
    for file in listing.files[2:]:
        width, height = made.image(file.sha256).size
        assert 8 <= width <= 64
        assert 8 <= height <= 48
