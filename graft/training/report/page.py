"""`report.html`: what a person would like to know about a finished model, in one file that needs nothing else."""

from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from graft.registry import ModelCard
from graft.training.report import details, words
from graft.training.report.markup import Child, Element, document, name_of, table, tag
from graft.training.report.quality import by_class, confusions, mistakes, reliability, thresholds
from graft.training.report.words import counted, percent

# The same that the service sends with the page; here for whoever opens it as a file.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
CLASSES_NAMED = 24
TITLES = {"test": "Test", "validation": "Validation"}


def page(card: ModelCard, metrics: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page of a version: its card, its `metrics.json`, and the PNGs that it shows, by file name."""
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    splits = {split: metrics[split] for split in TITLES if metrics.get(split)}
    body: list[Child] = [*_opening(card, splits)]
    if splits:
        body += _quality(card, splits, pictures)
    body += _training(card, metrics, pictures)
    return document(f"{card.model} version {card.version}", style, POLICY, *body)


def _opening(card: ModelCard, splits: Mapping[str, Any]) -> list[Child]:
    return [
        tag("h1", card.model, " ", tag("small", f"version {card.version}")),
        tag("p", "Tells apart ", counted(len(card.classes), "class"), ": ", *_class_names(card), "."),
        _headline(splits),
        _tiles(splits) if splits else None,
        tag("h2", "What it is"),
        tag("p", words.what_was_trained(card.cut)),
        details.facts(card),
        tag("details", tag("summary", "Layer by layer"), details.layers(card)),
    ]


def _class_names(card: ModelCard) -> list[Child]:
    named: list[Child] = []
    for name in card.classes[:CLASSES_NAMED]:
        named += [", " if named else None, name_of(name)]
    if (more := len(card.classes) - CLASSES_NAMED) > 0:
        named.append(f" and {words.number(more)} more")
    return named


def _headline(splits: Mapping[str, Any]) -> Element:
    split, evaluation = next(iter(splits.items()), (None, None))
    if split is None or evaluation is None:
        return tag(
            "p",
            "How good it is has not been measured: its dataset had neither validation nor test pictures.",
            class_="lead",
        )
    return tag("p", words.headline(split, evaluation), class_="lead")


def _tiles(splits: Mapping[str, Any]) -> Element:
    split, best = next(iter(splits.items()))
    k = best["top_k"]["k"]
    tiles = [
        (percent(best["accuracy"]), f"accuracy on {split}"),
        (percent(best["top_k"]["accuracy"]), f"true class among the likeliest {k}") if k > 1 else None,
        (percent(best["macro"]["f1"]), "F1, mean of the classes"),
        (percent(best["calibration"]["ece"]), "calibration error: between how sure and how right"),
    ]
    return tag(
        "div", *(tag("div", tag("b", it[0]), tag("span", it[1]), class_="tile") for it in tiles if it), class_="tiles"
    )


def _quality(card: ModelCard, splits: Mapping[str, Any], pictures: Mapping[str, bytes]) -> list[Child]:
    split, shown = next(iter(splits.items()))
    chosen_on = "validation" if "validation" in splits else split
    body: list[Child] = [
        tag("h2", "How good it is"),
        _by_split(splits),
        tag(
            "p",
            "Validation pictures guide a training, by its best epoch and the temperature: expect a little less on new "
            "ones. Test pictures guide nothing.",
            class_="soft",
        ),
        tag("h2", "What it takes for what"),
        tag("p", f"{TITLES[split]} pictures by their true class (down) and the class that the model named (across)."),
        _figure(pictures["confusion_matrix.png"], "Confusion matrix: true classes down, predicted across."),
        confusions(shown, card.classes),
        tag("h2", "Class by class"),
        tag(
            "p",
            "Precision: of the pictures that it called so, how many were. Recall: of the pictures that were, how many "
            "it called so. F1 is high where both are.",
        ),
        by_class(shown),
        tag("h2", "Worst mistakes"),
        tag("p", "The wrong answers that it was surest of. Some may be pictures in the wrong folder."),
    ]
    for name, evaluation in splits.items():
        body += [tag("h3", TITLES[name]), mistakes(evaluation)]
    return [
        *body,
        tag("h2", "How far its probabilities can be believed"),
        tag("p", words.calibration_in_words(split, shown, card.temperature)),
        _figure(pictures["reliability.png"], "Reliability: how often it was right against how sure it was."),
        tag("details", tag("summary", "In numbers"), reliability(shown)),
        tag("h2", "From which probability on to believe it"),
        tag(
            "p",
            f"For each class, as measured on the {chosen_on} pictures: the threshold with the best F1, and the lowest "
            "one from which on at least 95\u202f% of what is called so is so.",
        ),
        thresholds(splits[chosen_on]),
    ]


def _by_split(splits: Mapping[str, Any]) -> Element:
    rows = []
    for split, each in splits.items():
        low, high = each["accuracy_interval"]
        rows.append(
            [
                TITLES[split],
                words.number(each["pictures"]),
                percent(each["accuracy"]),
                f"{percent(low)} to {percent(high)}",
                percent(each["top_k"]["accuracy"]),
                percent(each["macro"]["f1"]),
                f"{each['loss']:.3f}",
            ]
        )
    top = f"Top {next(iter(splits.values()))['top_k']['k']}"
    return table(["", "Pictures", "Accuracy", "With 95\u202f% confidence", top, "F1", "Loss"], rows)


def _training(card: ModelCard, metrics: Mapping[str, Any], pictures: Mapping[str, bytes]) -> list[Child]:
    return [
        tag("h2", "How it learned"),
        tag("p", words.how_it_learned(len(metrics["history"]["loss"]), metrics["best_epoch"], card.recipe.get("keep"))),
        _figure(pictures["learning_curves.png"], "Loss and accuracy by epoch, of training and validation."),
        tag("h2", "What it learned from"),
        tag("p", "Pictures by class, and in which split they are."),
        details.balance(metrics["class_balance"], card.classes),
        tag("h2", "Recipe"),
        tag("p", "Every choice of the training. Sent again with the same pictures and seed, it draws the same."),
        details.recipe(card),
    ]


def _figure(png: bytes, alt: str) -> Element:
    return tag("figure", tag("img", src=f"data:image/png;base64,{b64encode(png).decode()}", alt=alt))
