"""The tables of a report that say how good a model is. Each takes a split's evaluation, as `evaluate` gives it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graft.training.report.markup import Child, Element, Rows, name_of, table, tag
from graft.training.report.words import counted, number, percent

Evaluation = Mapping[str, Any]
CONFUSIONS = 10
ROWS_SHOWN = 30  # of a table with a row a class; the others unfold


def confusions(evaluation: Evaluation, classes: Sequence[str]) -> Element:
    """Those that happened more than once, the most frequent first."""
    matrix = np.array(evaluation["confusion_matrix"])
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, matrix.shape), strict=True) if matrix[i, j] > 1]
    if not pairs:
        return tag("p", "It took no class for another more than once.")
    rows: Rows = [[name_of(classes[i]), name_of(classes[j]), f"{number(int(matrix[i, j]))} times"] for i, j in pairs]
    return table(["A picture of", "was taken for", ""], rows)


def by_class(evaluation: Evaluation) -> Element:
    """Lowest F1 first: that is where to look."""
    rows: Rows = [
        [
            name_of(each["label"]),
            number(each["support"]),
            percent(each["precision"]),
            percent(each["recall"]),
            bar(each["f1"], percent(each["f1"])),
        ]
        for each in sorted(evaluation["per_class"], key=lambda each: each["f1"])
    ]
    return unfolding(["Class", "Pictures", "Precision", "Recall", "F1"], rows)


def mistakes(evaluation: Evaluation) -> Element:
    rows: Rows = [
        [
            tag("code", name_of(each["file"])),
            name_of(each["true"]),
            name_of(each["predicted"]),
            bar(each["probability_of_predicted"], percent(each["probability_of_predicted"])),
            percent(each["probability_of_true"]),
        ]
        for each in evaluation["mistakes"]
    ]
    if not rows:
        return tag("p", f"None: all {counted(evaluation['pictures'], 'picture')} right.")
    return table(["File", "Is", "Was called", "How sure", "Probability of the truth"], rows)


def reliability(evaluation: Evaluation) -> Element:
    rows: Rows = [
        [
            f"{percent(each['from'])} to {percent(each['to'])}",
            number(each["pictures"]),
            percent(each["confidence"]),
            percent(each["accuracy"]),
        ]
        for each in evaluation["calibration"]["bins"]
        if each["pictures"]
    ]
    return table(["How sure", "Pictures", "Mean of it", "Right"], rows)


def thresholds(evaluation: Evaluation) -> Element:
    def cells(point: Mapping[str, float] | None) -> list[Child]:
        if point is None:
            return ["none", "", ""]
        # Rounded down, as what is rounded up may be reached by none.
        return [
            f"{math.floor(point['threshold'] * 1000) / 1000:.3f}",
            percent(point["precision"]),
            percent(point["recall"]),
        ]

    rows: Rows = [
        [name_of(each["label"]), *cells(each["best_f1"]), *cells(each["precise"])] for each in evaluation["thresholds"]
    ]
    head = ["Class", "Best F1 from", "Precision", "Recall", "95\u202f% precise from", "Precision", "Recall"]
    return unfolding(head, rows)


def bar(share: float, text: str) -> Element:
    """A share from 0 to 1, as text and as a length."""
    length = tag("span", tag("i", style=f"width:{share * 100:.1f}%"), class_="bar", aria_hidden="true")
    return tag("span", tag("span", text), length, class_="value")


def unfolding(head: Sequence[str], rows: Rows) -> Element:
    """A long table shows its first rows; the rest unfolds below."""
    if len(rows) <= ROWS_SHOWN:
        return table(head, rows)
    rest = rows[ROWS_SHOWN:]
    return tag(
        "div",
        table(head, rows[:ROWS_SHOWN]),
        tag("details", tag("summary", f"{number(len(rest))} more"), table(head, rest)),
    )
