"""What lies in a version's `report` folder."""

from collections.abc import Mapping
from typing import Any

from graft.registry import ModelCard
from graft.training.report.page import page
from graft.training.report.plots import confusion_matrix_png, learning_curves_png, reliability_png

PAGE = "report.html"


def report_files(card: ModelCard, metrics: Mapping[str, Any]) -> dict[str, bytes]:
    """File name -> content, of a version's card and its `metrics.json`.

    The pictures are of the test split where there is one, else of the validation split; without either there are the
    learning curves alone. The same input gives the same bytes on the same machine.
    """
    pictures = {"learning_curves.png": learning_curves_png(metrics["history"], metrics["best_epoch"])}
    if shown := metrics.get("test") or metrics.get("validation"):
        pictures["confusion_matrix.png"] = confusion_matrix_png(shown["confusion_matrix"], card.classes)
        pictures["reliability.png"] = reliability_png(shown["calibration"]["bins"])
    return {**pictures, PAGE: page(card, metrics, pictures).encode()}
