"""The pictures of an evaluation, as PNG bytes. Drawn through matplotlib's object API: no display, no global state.

The same input gives the same bytes on the same machine (text is drawn with DejaVu Sans, which matplotlib brings along).
"""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

FONT = "DejaVu Sans"
DPI = 100
GLYPH = 0.6  # an average letter's width as a share of the font size
INK, FAINT = "#333333", "#d9d9d9"
TRAIN, VALIDATION = "#4477aa", "#ee6677"  # Paul Tol's bright scheme: told apart by the colour-blind

MOST_CLASSES_WITH_COUNTS = 100  # above, cells are too small for digits, and only the colours are drawn
MOST_CLASSES_WITH_ZEROS = 20
MOST_TICKS = 150  # above, only every k-th class is named
LONGEST_LABEL = 24  # characters


def confusion_matrix_png(matrix: Sequence[Sequence[int]] | np.ndarray, classes: Sequence[str]) -> bytes:
    """Counts of pictures by true class (down) and predicted class (across), with a colour bar.

    matrix: (c, c) integers, c = len(classes) at least 1. Up to MOST_CLASSES_WITH_COUNTS the counts stand in the cells.
    A class whose name the font cannot draw (Chinese, say) is shown by its number, as #3.
    """
    counts = np.asarray(matrix)
    c = len(classes)
    if c == 0 or counts.shape != (c, c):
        raise ValueError(f"A confusion matrix has a row and a column for each class; received {counts.shape} for {c}.")
    labels = [_drawable(name, i) for i, name in enumerate(classes)]
    cell, size = _cell(c)
    widest = max(map(len, labels)) * size * GLYPH
    figure = _figure(c * cell + widest / 72 + 1.9, c * cell + widest / 72 + 0.9)
    axes = figure.add_subplot()
    image = axes.imshow(counts, cmap="Blues", vmin=0, vmax=max(int(counts.max()), 1))
    _name_classes(axes, labels, size, upright=cell * 72 < widest)
    if c <= MOST_CLASSES_WITH_COUNTS:
        _write_counts(axes, counts, min(size, cell * 72 / (len(str(counts.max())) * GLYPH + 0.4)))
    _colour_bar(figure, axes, image, shrink=min(1.0, 6 / (c * cell)))
    right, total = int(counts.trace()), int(counts.sum())
    axes.set_title(f"{right} of {total} pictures right", fontfamily=FONT, fontsize=11, color=INK, pad=10)
    return _png(figure)


def learning_curves_png(history: Mapping[str, Sequence[float | None]], best_epoch: int | None = None) -> bytes:
    """Loss and accuracy by epoch, counted from 1, of training and, where the history has it, validation.

    history: `loss`, `accuracy`, and perhaps `val_loss`, `val_accuracy`, one number an epoch; None and NaN leave a gap.
    best_epoch: the epoch with the best validation loss, marked where it is known.
    """
    figure = _figure(10.5, 4.2)
    for place, (metric, title) in enumerate((("loss", "Loss"), ("accuracy", "Accuracy")), start=1):
        axes = figure.add_subplot(1, 2, place)
        for key, name, colour in ((metric, "training", TRAIN), (f"val_{metric}", "validation", VALIDATION)):
            if values := history.get(key):
                _curve(axes, values, name, colour)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=INK, linewidth=1, linestyle=(0, (4, 3)), label=f"best: epoch {best_epoch}")
        _dress(axes, title, epochs=max((len(values) for values in history.values()), default=0))
    figure.axes[0].set_ylim(0, 1.03 * figure.axes[0].get_ylim()[1])
    figure.axes[1].set_ylim(-0.03, 1.03)
    return _png(figure)


def reliability_png(bins: Sequence[Mapping[str, Any]]) -> bytes:
    """How often a model was right against how sure it was, and how many pictures that is about.

    bins: as `graft.training.calibration.reliability` gives them. A bar that ends on the diagonal is as it should be.
    """
    figure = _figure(5.6, 5.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    filled = [each for each in bins if each["pictures"]]
    centres, width = [(each["from"] + each["to"]) / 2 for each in filled], 1 / len(bins)
    above.plot((0, 1), (0, 1), color=INK, linewidth=1, linestyle=(0, (4, 3)), label="as it should be")
    above.bar(centres, [each["accuracy"] for each in filled], width * 0.92, color=TRAIN, label="how often it was right")
    # Where the mean is, as few pictures of a range may all lie at its edge.
    sure, right = ([each[key] for each in filled] for key in ("confidence", "accuracy"))
    above.vlines(sure, sure, right, color=VALIDATION, linewidth=2, label="the gap")
    below.bar(centres, [each["pictures"] for each in filled], width * 0.92, color=TRAIN)
    for axes, name in ((above, "right"), (below, "pictures")):
        axes.set_ylabel(name, fontfamily=FONT, fontsize=10, color=INK)
        _plain(axes)
    above.set_xlim(0, 1)
    above.set_ylim(0, 1.02)
    font = FontProperties(family=FONT, size=9)
    figure.legend(frameon=False, loc="outside upper center", ncols=3, prop=font, labelcolor=INK)
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.set_xlabel("how sure it was", fontfamily=FONT, fontsize=10, color=INK)
    return _png(figure)


def _cell(c: int) -> tuple[float, float]:
    """Edge of a cell in inches, and size of the text in points: large for few classes, never a wall-sized picture."""
    cell = min(1.15, max(0.27, 5.5 / c)) if c <= MOST_CLASSES_WITH_COUNTS else 27 / c
    return cell, min(12.0, max(6.0, cell * 26))


def _name_classes(axes: Axes, labels: Sequence[str], size: float, *, upright: bool) -> None:
    """upright: the names across stand on end, for want of room."""
    step = -(-len(labels) // MOST_TICKS)
    at = range(0, len(labels), step)
    axes.set_xticks(at, labels[::step], rotation=90 if upright else 0)
    axes.set_yticks(at, labels[::step])
    axes.tick_params(length=0, labelsize=size, labelcolor=INK, labelfontfamily=FONT)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)  # a class may be called $5
    axes.set_xlabel("predicted", fontfamily=FONT, fontsize=11, color=INK, labelpad=8)
    axes.set_ylabel("true", fontfamily=FONT, fontsize=11, color=INK, labelpad=8)
    axes.spines[:].set_visible(False)
    if len(labels) <= MOST_CLASSES_WITH_COUNTS:
        edges = np.arange(len(labels) + 1) - 0.5
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(which="minor", color=FAINT, linewidth=0.6)
        axes.tick_params(which="minor", length=0)


def _write_counts(axes: Axes, counts: np.ndarray, size: float) -> None:
    """Zeros are faint, and left out of a large matrix, so that the mistakes stand out."""
    dark = counts.max() / 2
    for (row, column), count in np.ndenumerate(counts):
        if count == 0 and len(counts) > MOST_CLASSES_WITH_ZEROS:
            continue
        colour = "white" if count > dark else INK if count else "#b8b8b8"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=size, fontfamily=FONT, color=colour)


def _colour_bar(figure: Figure, axes: Axes, image: AxesImage, *, shrink: float) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=shrink, aspect=25, pad=0.03, ticks=MaxNLocator(6, integer=True))
    bar.set_label("pictures", fontfamily=FONT, fontsize=10, color=INK)
    bar.ax.tick_params(labelsize=9, labelcolor=INK, color=FAINT, labelfontfamily=FONT)
    bar.outline.set_visible(False)


def _curve(axes: Axes, values: Sequence[float | None], name: str, colour: str) -> None:
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    # A lone epoch is a line without length, so few epochs are marked by dots.
    marker = "o" if len(numbers) <= 40 else ""
    axes.plot(
        np.arange(1, len(numbers) + 1), numbers, color=colour, label=name, linewidth=1.8, marker=marker, markersize=4
    )


def _dress(axes: Axes, title: str, *, epochs: int) -> None:
    axes.set_title(title, fontfamily=FONT, fontsize=12, color=INK)
    axes.set_xlabel("epoch", fontfamily=FONT, fontsize=10, color=INK)
    axes.set_xlim(0.5, max(epochs, 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    _plain(axes)
    if axes.lines:
        axes.legend(frameon=False, prop=FontProperties(family=FONT, size=9), labelcolor=INK)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=9, labelcolor=INK, color=FAINT, labelfontfamily=FONT)
    axes.set_axisbelow(True)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)


def _figure(width: float, height: float) -> Figure:
    """Inches. It fits its content; the canvas is what makes it free of pyplot."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # tight: the layout alone cuts the title off where the matrix is square and the names are long.
    # Software: it would put matplotlib's version into the bytes.
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.15, metadata={"Software": None})
    return buffer.getvalue()


def _drawable(name: str, index: int) -> str:
    """The name, shortened in its middle where it is long; its number where the font lacks one of its characters."""
    font = _font()
    if not name.strip() or not all(
        character.isprintable() and font.get_char_index(ord(character)) for character in name
    ):
        return f"#{index}"
    if len(name) <= LONGEST_LABEL:
        return name
    return f"{name[: LONGEST_LABEL // 2]}…{name[1 - LONGEST_LABEL // 2 :]}"


@cache
def _font() -> FT2Font:
    return get_font(findfont(FONT))
