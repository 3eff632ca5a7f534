import io

import pytest
from PIL import Image

from tests.drawing import draw, encode, folder, jpeg
from tests.graft.datasets.checking.judging import check, checked, told


def sized(width: int, height: int) -> bytes:
    return encode(draw("discs", 1).resize((width, height)))


def animation(kind: str) -> bytes:
    buffer = io.BytesIO()
    draw("discs", 1).save(buffer, kind, save_all=True, append_images=[draw("stripes", 1)])
    return buffer.getvalue()


def camera_jpeg() -> bytes:
    """A picture with a preview behind it, as many cameras write them."""
    buffer = io.BytesIO()
    draw("discs", 1).save(buffer, "MPO", save_all=True, append_images=[draw("stripes", 1)])
    return buffer.getvalue()


def test_a_clean_set_has_no_problems() -> None:
    assert checked(folder(5)).problems() == []


@pytest.mark.parametrize(("name", "data", "code"), [
    ("x.jpg", sized(31, 60), "tiny"), ("x.jpg", sized(60, 31), "tiny"), ("x.jpg", sized(32, 32), None),
    ("x.jpg", sized(400, 99), "extreme_shape"), ("x.jpg", sized(99, 400), "extreme_shape"),
    ("x.jpg", sized(400, 100), None),
    ("x.gif", animation("GIF"), "animated"), ("x.webp", animation("WebP"), "animated"),
    ("x.png", animation("PNG"), "animated"), ("x.tif", animation("TIFF"), "animated"),
    ("x.gif", encode(draw("discs", 1), "GIF"), None), ("x.tiff", encode(draw("discs", 1), "TIFF"), None),
    ("x.JPG", camera_jpeg(), None), ("x.mpo", camera_jpeg(), None),
    ("x.png", jpeg("discs", 99), "wrong_extension"), ("x.JPG", encode(draw("discs", 99), "WebP"), "wrong_extension"),
    ("x.JPEG", jpeg("discs", 99), None), ("x", jpeg("discs", 99), None), ("x.2019", jpeg("discs", 99), None),
])  # fmt: skip
def test_a_picture_that_is_used_is_reported_for_what_it_is(name: str, data: bytes, code: str | None) -> None:
    verdict = checked(folder(5) | {f"discs/{name}": data})
    assert told(verdict) == ([] if code is None else [(f"discs/{name}", code, False)])
    assert f"discs/{name}" in {picture.path for picture in verdict.manifest.pictures}
    if code:
        found = check(verdict, code)
        assert (found.severity, found.count, found.examples) == ("warning", 1, (f"discs/{name}",))
        assert found.message.endswith(": 1 of 16.")
        assert found.advice


def test_a_copy_within_a_class_and_split_is_a_duplicate() -> None:
    verdict = checked(folder(5) | {"discs/copy.jpg": jpeg("discs", 0), "discs/again.jpg": jpeg("discs", 0)})
    assert told(verdict) == [("discs/again.jpg", "duplicate", False), ("discs/copy.jpg", "duplicate", False)]
    assert "the same as 'discs/0.jpg'" in verdict.problems()[0]["message"]
    assert len(verdict.manifest.pictures) == 17


def test_a_picture_in_two_splits_is_a_leak() -> None:
    files = folder(5, split="train") | folder(3, split="test", start=5)
    verdict = checked(files | {"test/discs/leak.jpg": jpeg("discs", 2)})
    assert told(verdict) == [("test/discs/leak.jpg", "leak", False)]
    assert "in train, as 'train/discs/2.jpg'" in verdict.problems()[0]["message"]
    assert check(verdict, "leak").count == 1


def test_a_picture_in_two_classes_is_a_label_conflict_and_is_trained_on_in_both() -> None:
    files = folder(10) | {f"stripes/disc{i}.jpg": jpeg("discs", i) for i in range(10)}
    verdict = checked(files)
    places = {picture.path: picture.split for picture in verdict.manifest.pictures}
    assert {places[f"stripes/disc{i}.jpg"] for i in range(10)} == {"train"}
    assert {places[f"discs/{i}.jpg"] for i in range(10)} == {"train"}
    assert check(verdict, "label_conflict").count == 20
    few = checked(folder(10) | {"stripes/disc.jpg": jpeg("discs", 3)})
    assert told(few) == [("discs/3.jpg", "label_conflict", False), ("stripes/disc.jpg", "label_conflict", False)]
    assert "is also in 'stripes', as 'stripes/disc.jpg' (train)" in few.problems()[0]["message"]


def test_a_picture_in_two_classes_and_splits_is_both() -> None:
    files = folder(5, split="train") | {"test/stripes/disc.jpg": jpeg("discs", 2)}
    verdict = checked(files)
    assert told(verdict) == [
        ("test/stripes/disc.jpg", "label_conflict", False),
        ("train/discs/2.jpg", "label_conflict", False),
        ("test/stripes/disc.jpg", "leak", False),
    ]


def test_what_is_true_of_most_pictures_is_one_check_and_no_problem() -> None:
    files = {
        f"{label}/{i}.png": encode(Image.new("RGB", (28, 28), (i, 9, 60 * k)), "PNG")
        for k, label in enumerate(("a", "b"))
        for i in range(20)
    }
    verdict = checked(files)
    assert verdict.problems() == []
    assert check(verdict, "tiny").count == 40
    assert check(verdict, "tiny").examples == tuple(f"a/{name}.png" for name in sorted(map(str, range(20)))[:5])
