import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from graft.datasets import job
from graft.datasets.checking import checks
from graft.datasets.checking.splits import SplitRequest
from graft.datasets.checking.validation import Verdict
from tests.drawing import encode, folder, jpeg
from tests.graft.datasets.checking.judging import check, checked

WITH_TEST = SplitRequest(0.2, 0.2)


def plain(**sizes: int) -> dict[str, bytes]:
    """Class -> how many pictures of it, each of one colour; the class may name its split, as in `train_a`."""
    return {
        f"{name.replace('_', '/')}/{i}.png": encode(Image.new("RGB", (40, 40), (i % 256, i // 256, 50 * k)), "PNG")
        for k, (name, size) in enumerate(sizes.items())
        for i in range(size)
    }


def codes(files: Mapping[str, bytes], request: SplitRequest = WITH_TEST) -> list[str]:
    return [check.code for check in checked(files, request).checks]


def test_a_clean_set_with_all_splits_has_no_checks() -> None:
    assert codes(folder(20)) == []


def test_a_clean_set_without_a_test_split_has_one() -> None:
    assert codes(folder(20), SplitRequest()) == ["no_test"]


def test_imbalance_is_over_four_times_the_training_pictures() -> None:
    assert codes(plain(train_a=40, train_b=10, validation_a=1, validation_b=1, test_a=1, test_b=1)) == []
    verdict = checked(plain(train_a=41, train_b=10, train_c=30, validation_a=1))
    found = check(verdict, "imbalance")
    assert (found.severity, found.count, found.examples) == ("warning", 1, ("b",))
    assert "4 times the training pictures of any other; 'a' has 41, and 'b' 10." in found.message


def test_a_class_of_under_ten_training_pictures_is_tiny() -> None:
    verdict = checked(plain(a=20, b=12, c=10, d=3))  # 16, 10, 8 and 2 are left to train on
    found = check(verdict, "tiny_class")
    assert (found.severity, found.count, found.examples) == ("warning", 2, ("d", "c"))
    assert "at least 10 training pictures; 'd' has 2." in found.message


def test_a_split_that_is_missing_or_lacks_classes_is_told() -> None:
    verdict = checked(plain(train_a=20, train_b=20, train_c=20, test_a=5))
    test = check(verdict, "no_test")
    assert (test.severity, test.count, test.examples) == ("warning", 2, ("b", "c"))
    assert "in the test split; each of 2 classes, 'b' among them, has none." in test.message


def test_without_validation_no_epoch_can_be_the_best() -> None:
    found = check(checked(plain(a=20, b=20), SplitRequest(0, 0.2)), "no_validation")
    assert (found.count, found.examples) == (2, ("a", "b"))
    assert "there are none" in found.message
    assert "recipe.keep 'best'" in found.advice


def grey(colour: int, mode: str = "L", kind: str = "PNG") -> bytes:
    return encode(Image.linear_gradient("L").point(lambda value: value * colour // 255).convert(mode), kind)


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("RGB", "JPEG"), ("RGBA", "WebP"), ("P", "GIF")])
def test_a_set_without_colours_is_grey_only(mode: str, kind: str) -> None:
    files = {f"{label}/{i}": grey(100 + 10 * i + k, mode, kind) for k, label in enumerate("ab") for i in range(15)}
    found = check(checked(files, WITH_TEST), "grey_only")
    assert (found.severity, found.count, found.examples[:2]) == ("warning", 30, ("a/0", "a/1"))
    assert "grey_only" not in codes(files | {"a/colour.jpg": jpeg("discs", 1)})


def test_a_splash_of_colour_is_colour() -> None:
    spot = Image.new("RGB", (224, 224), (90, 90, 90))
    spot.putpixel((101, 57), (90, 95, 90))
    files = {f"{label}/{i}": grey(100 + 10 * i + k) for k, label in enumerate("ab") for i in range(15)}
    assert "grey_only" not in codes(files | {"a/spot.png": encode(spot, "PNG")})


def with_bad(good: int, bad: int) -> dict[str, bytes]:
    return plain(a=good - 10, b=10) | {f"a/bad{i}": f"no picture {i}".encode() for i in range(bad)}


def errors(verdict: Verdict) -> list[str]:
    return [check.code for check in verdict.checks if check.severity == "error"]


def test_a_fifth_may_be_bad_and_no_more() -> None:
    assert not checked(with_bad(20, 5)).rejected
    verdict = checked(with_bad(20, 6))
    assert errors(verdict) == ["too_many_bad_files"]
    assert check(verdict, "too_many_bad_files").count == 6
    assert verdict.problems()[0]["path"] is None
    assert "At most 20% of a dataset's files may be bad; 6 of 26 are." in verdict.problems()[0]["message"]


def test_a_class_with_no_good_training_picture_rejects_the_set() -> None:
    verdict = checked(plain(train_a=9, train_b=9, test_c=1, test_a=1))
    assert errors(verdict) == ["no_training_picture"]
    assert check(verdict, "no_training_picture").examples == ("c",)
    assert "'c' has none. Add some, or remove the class." in verdict.problems()[0]["message"]


def test_a_single_class_left_rejects_the_set() -> None:
    verdict = checked(plain(a=20) | {"b/1": b"no picture", "b/2": b"neither"})
    assert errors(verdict) == ["no_training_picture", "too_few_classes"]


def test_errors_come_first_then_what_is_there_most() -> None:
    verdict = checked(plain(a=20, b=3, c=3) | {"d/1": b"no picture"}, SplitRequest())
    assert [(check.code, check.severity, check.count) for check in verdict.checks] == [
        ("no_training_picture", "error", 1),
        ("no_test", "warning", 4),
        ("imbalance", "warning", 2),
        ("tiny_class", "warning", 2),
        ("no_validation", "warning", 1),
        ("not_a_picture", "warning", 1),
    ]


def test_the_guide_names_every_code() -> None:
    guide = (Path(__file__).parents[4] / "docs" / "datasets.md").read_text()
    source = "".join(Path(module.__file__ or "").read_text() for module in (checks, job))
    of_the_set = set(re.findall(r'Check\(\s*"([a-z_]+)"', source)) | {"no_validation", "no_test"}
    assert len(of_the_set) == 9
    assert [code for code in (*checks.OF_FILES, *of_the_set) if f"`{code}`" not in guide] == []
