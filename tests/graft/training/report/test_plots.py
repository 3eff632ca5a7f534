"""The pictures of a report: they open, they show what they should, and drawing them never warns."""

import io
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graft.training.report.plots import (
    MOST_CLASSES_WITH_COUNTS,
    confusion_matrix_png,
    learning_curves_png,
    reliability_png,
)

TITLE = 34  # pixels from the top edge to below the title
HISTORY: dict[str, list[float]] = {
    "loss": [1.5, 0.9, 0.6],
    "accuracy": [0.3, 0.6, 0.8],
    "val_loss": [1.4, 1.0, 0.9],
    "val_accuracy": [0.35, 0.55, 0.7],
}


def pixels(png: bytes) -> np.ndarray:
    """(height, width, 3) uint8."""
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def has_colour(png: bytes, colour: str) -> bool:
    return bool((pixels(png) == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1).any())


def diagonal(classes: int, count: int = 12) -> np.ndarray:
    return np.eye(classes, dtype=int) * count


@pytest.mark.parametrize("classes", [1, 2, 10, 45, MOST_CLASSES_WITH_COUNTS, 400])
def test_a_matrix_of_any_size(classes: int) -> None:
    height, width, _ = pixels(confusion_matrix_png(diagonal(classes), [f"class {i}" for i in range(classes)])).shape
    assert 200 < height < 3500
    assert 250 < width < 3500


@pytest.mark.parametrize("classes", [2, 10, 40])
def test_the_counts_are_in_the_cells(classes: int) -> None:
    # 1 or 7 in a thousand is no difference in colour: below the title, what changes is a digit in one cell.
    names = [str(i) for i in range(classes)]
    one, seven = diagonal(classes, 1000), diagonal(classes, 1000)
    one[0, 1], seven[0, 1] = 1, 7
    before, after = pixels(confusion_matrix_png(one, names)), pixels(confusion_matrix_png(seven, names))
    changed = np.argwhere(np.abs(before[TITLE:].astype(int) - after[TITLE:]).max(axis=-1) > 60)
    assert len(changed) > 3
    assert np.ptp(changed, axis=0).max() < 30


def test_true_goes_down_and_predicted_across() -> None:
    # One picture in the top right corner: first class, taken for the last.
    matrix = np.zeros((5, 5), int)
    matrix[0, 4] = 1
    image = pixels(confusion_matrix_png(matrix, list("abcde"))).astype(int)
    inside = image[:, : int(image.shape[1] * 0.85)]  # without the colour bar
    rows, columns = np.nonzero((inside[..., 2] - inside[..., 0] > 60) & (inside[..., 0] < 30))
    assert rows.mean() < image.shape[0] * 0.3
    assert columns.mean() > image.shape[1] * 0.6


@pytest.mark.parametrize(
    "names",
    [
        ("猫", "犬"),
        ("$5$", "a_b^{c"),
        ("two\nlines", "\t"),
        ("", " "),
        ("\u0000", "\U0001f600"),
        ("x" * 300, "\\frac{1}"),
        ("n02123045", "Egyptian_cat"),
        ("éclair", "Überraschung"),
    ],
)
def test_any_class_name_can_be_drawn(names: Sequence[str]) -> None:
    assert pixels(confusion_matrix_png([[3, 1], [0, 4]], names)).shape[1] < 1500


def test_a_name_that_cannot_be_drawn_becomes_its_number() -> None:
    assert confusion_matrix_png(diagonal(2), ["cat", "犬"]) == confusion_matrix_png(diagonal(2), ["cat", "#1"])


def test_a_matrix_without_pictures() -> None:
    confusion_matrix_png(np.zeros((3, 3), int), list("abc"))


@pytest.mark.parametrize(("matrix", "names"), [([[1]], ["a", "b"]), ([[1, 2], [3, 4]], ["a"]), (np.zeros((0, 0)), [])])
def test_a_matrix_that_does_not_fit_its_classes(matrix: np.ndarray, names: list[str]) -> None:
    with pytest.raises(ValueError, match="a row and a column for each class"):
        confusion_matrix_png(matrix, names)


def test_both_curves_are_there() -> None:
    png = learning_curves_png(HISTORY)
    assert has_colour(png, "#4477aa")
    assert has_colour(png, "#ee6677")
    training_only = learning_curves_png({name: HISTORY[name] for name in ("loss", "accuracy")})
    assert has_colour(training_only, "#4477aa")
    assert not has_colour(training_only, "#ee6677")


def test_the_best_epoch_is_marked() -> None:
    assert len({learning_curves_png(HISTORY, best) for best in (None, 1, 2, 3)}) == 4


def test_one_epoch_can_be_seen() -> None:
    one = learning_curves_png({name: values[:1] for name, values in HISTORY.items()})
    nowhere = learning_curves_png({name: [float("nan")] for name in HISTORY})
    dots = (pixels(one) != pixels(nowhere)).any(axis=-1)
    assert dots[100:350].sum() > 20


@pytest.mark.parametrize(
    "history",
    [
        {"loss": [], "accuracy": []},
        {"loss": [1.0, None, float("inf"), 0.5], "accuracy": [0.1, 0.2, 0.3, 0.4]},
        {"loss": [0.0, 0.0], "accuracy": [1.0, 1.0]},
        {"loss": [1e9, 1e-9], "accuracy": [0.0, 1.0], "val_loss": [], "val_accuracy": []},
        {"loss": [1.0] * 300, "accuracy": [0.5] * 300},
    ],
)
def test_awkward_histories(history: dict[str, list[float | None]]) -> None:
    assert pixels(learning_curves_png(history)).shape[1] > 900


def bins(*filled: tuple[int, int, float]) -> list[dict[str, Any]]:
    """15 ranges; of those given by number: their pictures and how many of them were right."""
    table: list[dict[str, Any]] = [
        {"from": i / 15, "to": (i + 1) / 15, "pictures": 0, "confidence": None, "accuracy": None} for i in range(15)
    ]
    for place, pictures, accuracy in filled:
        table[place] |= {"pictures": pictures, "confidence": (place + 0.5) / 15, "accuracy": accuracy}
    return table


def test_a_bar_is_as_high_as_it_was_often_right() -> None:
    def blue(accuracy: float) -> int:
        above = pixels(reliability_png(bins((7, 10, accuracy))))[:380]  # the counts are below
        return int((above == [0x44, 0x77, 0xAA]).all(axis=-1).sum())

    none, half, all_ = blue(0.0), blue(0.5), blue(1.0)
    assert all_ - none == pytest.approx(2 * (half - none), rel=0.1)  # the lines that cross it cover some
    assert has_colour(reliability_png(bins((7, 10, 0.2))), "#ee6677")


@pytest.mark.parametrize("filled", [[], [(14, 1, 1.0)], [(i, 10**i, 0.5) for i in range(15)]])
def test_any_reliability_can_be_drawn(filled: list[tuple[int, int, float]]) -> None:
    assert pixels(reliability_png(bins(*filled))).shape[1] > 400


def test_the_same_input_gives_the_same_bytes() -> None:
    assert confusion_matrix_png(diagonal(3), list("abc")) == confusion_matrix_png(diagonal(3).tolist(), ("a", "b", "c"))
    assert learning_curves_png(HISTORY, 2) == learning_curves_png(HISTORY, 2)
    assert b"matplotlib" not in learning_curves_png(HISTORY).lower()


def test_pyplot_stays_out() -> None:
    code = "import sys, graft.training.report.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
