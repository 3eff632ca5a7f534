"""The tables of a report that say what a model is and what it was made of."""

from collections.abc import Mapping, Sequence
from typing import Any

from graft.registry import LayerRow, ModelCard
from graft.training.report.markup import Child, Element, Rows, name_of, table, tag
from graft.training.report.quality import bar, unfolding
from graft.training.report.words import PREPROCESSING, head_in_words, instant, number


def facts(card: ModelCard) -> Element:
    facts: dict[str, Child] = {
        "Made": instant(card.created_at),
        "Head": head_in_words(card),
        "Parameters": f"{number(card.trainable_parameters)} trained, {number(card.frozen_parameters)} frozen",
        "Pictures": f"resized to 224 × 224 ({card.input.interpolation}), {PREPROCESSING[card.input.preprocessing]}",
        "Precision": card.input.precision,
        "Dataset": tag("code", card.dataset),
        "Its revision": tag("code", card.dataset_revision),
        "Job": tag("code", card.job_id),
    }
    return _pairs(facts)


def layers(card: ModelCard) -> Element:
    rows: Rows = [
        [each.name, each.kind, " × ".join(map(number, each.shape)), number(each.parameters), _state(each)]
        for each in card.layers
    ]
    return table(["Layer", "Kind", "Output", "Parameters", ""], rows)


def balance(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> Element:
    """counts: pictures by split and class."""
    total = {name: sum(of_split.get(name, 0) for of_split in counts.values()) for name in classes}
    most = max(total.values(), default=0) or 1
    rows: Rows = [
        [
            name_of(name),
            *(number(of_split.get(name, 0)) for of_split in counts.values()),
            bar(total[name] / most, number(total[name])),
        ]
        for name in classes
    ]
    return unfolding(["Class", *(split.capitalize() for split in counts), "All"], rows)


def recipe(card: ModelCard) -> Element:
    return _pairs({key.replace("_", " "): tag("code", _written(value)) for key, value in card.recipe.items()})


def _state(layer: LayerRow) -> str:
    if not layer.parameters:
        return ""
    return "trained" if layer.trainable else "frozen"


def _written(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_written(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pairs(pairs: Mapping[str, Child]) -> Element:
    return tag(
        "dl", *(tag(kind, text) for pair in pairs.items() for kind, text in zip(("dt", "dd"), pair, strict=True))
    )
