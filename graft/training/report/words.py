"""What a report says in words: numbers as people read them, and what a model is."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from graft.registry import ModelCard
from graft.vgg16.layers import CONVOLUTIONS, INPUT, LAST, between

PREPROCESSING = {"caffe": "BGR minus the ImageNet means", "none": "RGB from 0 to 255"}
POOLING = {"flatten": "all features in one row", "avg": "features averaged over the picture", "max": "features' maxima"}


def percent(share: float) -> str:
    """To a tenth, and never 100 or 0 for what is only nearly so."""
    rounded = round(share * 100, 1)
    if share < 1 and rounded == 100:
        return "> 99.9\u202f%"
    if share > 0 and rounded == 0:
        return "< 0.1\u202f%"
    return f"{rounded:.1f}\u202f%" if 0 < share < 1 else f"{rounded:.0f}\u202f%"


def number(count: int) -> str:
    return f"{count:,}"


def counted(count: int, thing: str) -> str:
    plural = f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else plural}"


def instant(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def what_was_trained(cut: str) -> str:
    if cut == LAST:
        return (
            f"All {len(CONVOLUTIONS)} convolution layers of VGG16 are frozen, as ImageNet left them; "
            "the head on top of them was trained."
        )
    if cut == INPUT:
        return f"All {len(CONVOLUTIONS)} convolution layers of VGG16 were trained, and the head on top of them."
    own, all_ = sum(layer.kind == "convolution" for layer in between(cut, LAST)), len(CONVOLUTIONS)
    return (
        f"The first {all_ - own} of VGG16's {all_} convolution layers are frozen, as ImageNet left them; "
        f"the last {own} and the head on top of them were trained."
    )


def head_in_words(card: ModelCard) -> str:
    parts = [POOLING[card.head.pooling]]
    for units in card.head.hidden_units:
        parts.append(f"{units:,} units")
        if card.head.batch_norm:
            parts.append("batch normalization")
        if card.head.dropout:
            parts.append(f"dropout {card.head.dropout:g}")
    return ", ".join([*parts, f"softmax over {counted(card.head.classes, 'class')}"])


def headline(split: str, evaluation: Mapping[str, Any]) -> str:
    pictures, (low, high) = evaluation["pictures"], evaluation["accuracy_interval"]
    right = round(evaluation["accuracy"] * pictures)
    seen = "which no part of the training saw" if split == "test" else "which it did not learn from"
    return (
        f"Of {counted(pictures, f'{split} picture')}, {seen}, it named the right class for {number(right)}: "
        f"{percent(evaluation['accuracy'])}. On more pictures like these, expect {percent(low)} to {percent(high)}."
    )


def calibration_in_words(split: str, evaluation: Mapping[str, Any], temperature: float) -> str:
    calibration = evaluation["calibration"]
    now = (
        "Where a model is 90\u202f% sure, it should be right nine times in ten. "
        f"On the {split} pictures, how sure it is and how often it is right differ by {points(calibration['ece'])} on "
        "average."
    )
    if temperature == 1:
        return f"{now} Its probabilities are served as the network gives them."
    changed = "less" if temperature > 1 else "more"
    return (
        f"{now} As the network gives them it would be {points(calibration['uncalibrated_ece'])}: a temperature of "
        f"{temperature:g}, fitted on the validation pictures, makes the model {changed} sure, and never changes which "
        "class it names."
    )


def how_it_learned(epochs: int, best: int | None, keep: str | None) -> str:
    """best: the best epoch, counted from 1; keep: the recipe's."""
    if best is None:
        return f"{counted(epochs, 'epoch')}, without validation pictures to compare them by."
    kept = "and its weights were kept" if keep == "best" or best == epochs else "and the last one's weights were kept"
    return f"{counted(epochs, 'epoch')}. Epoch {best} was the best on the validation pictures, {kept}."


def points(error: float) -> str:
    return f"{error * 100:.1f} percentage points"
