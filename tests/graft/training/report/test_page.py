"""The page of a report: it says what was measured, needs nothing from outside, and takes no name for markup."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from graft.registry import ModelCard, layer_table
from graft.training.evaluate import Outputs, evaluated
from graft.training.report import report_files
from graft.training.report.markup import document, tag
from graft.types import InputKey
from graft.vgg16.layers import HeadSpec, between, head_shapes, tail_shapes

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "a & b &lt; c' onload='x",
    "]]></style><style>*{display:none}",
    "line\nbreak\x00\x1b[31m\udcff",
    "\u202egpj.exe \u5bb6",
)
VOID = {"meta", "img"}


class Page(HTMLParser):
    """What a browser would make of it: the tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).replace("\u202f", " ").split())

    def attributes(self) -> Iterator[tuple[str, str]]:
        return ((name, value or "") for _, attributes in self.tags for name, value in attributes.items())


def card_of(classes: tuple[str, ...], cut: str = "block4_pool", **changed: Any) -> ModelCard:
    head = HeadSpec("avg", (8,), batch_norm=True, dropout=0.5, classes=len(classes))
    shapes = {**tail_shapes(cut), **head_shapes(head)}
    values: dict[str, Any] = {
        "model": "signs",
        "version": 3,
        "created_at": 1_795_512_600_000,
        "cut": cut,
        "tail": [layer.name for layer in between(cut, "block5_pool")],
        "head": head,
        "classes": classes,
        "input": InputKey("bilinear"),
        "trunk_digest": "d9a2",
        "parameters": [
            {"name": name, "shape": shape, "trainable": True, "count": int(np.prod(shape))}
            for name, shape in shapes.items()
        ],
        "trainable_parameters": 7_080_000,
        "frozen_parameters": 7_635_264,
        "layers": layer_table(cut, head),
        "recipe": {"preset": "auto", "keep": "best", "hidden_units": [8], "batch_norm": True, "augmentation": None},
        "dataset": "ds_a",
        "dataset_revision": "f" * 64,
        "job_id": "job_a",
        "metrics": {},
    }
    return ModelCard(**{**values, **changed})


def report(
    classes: tuple[str, ...], *, validation: int = 60, test: int = 20, card: dict[str, Any] | None = None
) -> dict[str, bytes]:
    rng = np.random.default_rng(0)

    def outputs(n: int, split: str) -> Outputs:
        labels = np.arange(n) % len(classes)
        logits = 2 * np.eye(len(classes))[labels] + rng.normal(0, 1, (n, len(classes)))
        return Outputs((8 * logits).astype(np.float32), labels, [f"{split}/{classes[label]}.jpg" for label in labels])

    given = {name: outputs(n, name) for name, n in (("validation", validation), ("test", test)) if n}
    evaluations, temperature = evaluated(given, classes)
    metrics = {
        "history": {"loss": [1.5, 0.9], "accuracy": [0.3, 0.6], "val_loss": [1.4, 1.0], "val_accuracy": [0.4, 0.5]},
        "best_epoch": 2 if validation else None,
        "temperature": temperature,
        "class_balance": {"train": dict.fromkeys(classes, 7), "validation": {}, "test": {}},
        **evaluations,
    }
    return report_files(card_of(classes, temperature=temperature, **(card or {})), metrics)


def page(*args: Any, **kwargs: Any) -> Page:
    return Page(report(*args, **kwargs)["report.html"].decode())


def test_it_says_what_was_measured() -> None:
    text = page(("cat", "dog", "owl")).text
    for part in (
        "signs version 3Tells apart 3 classes: cat, dog, owl.",
        "Of 20 test pictures, which no part of the training saw, it named the right class for 1",
        "The first 10 of VGG16's 13 convolution layers are frozen, as ImageNet left them; the last 3 and the head",
        "2026-11-24 09:30 UTC",
        "features averaged over the picture, 8 units, batch normalization, dropout 0.5, softmax over 3 classes",
        "7,080,000 trained, 7,635,264 frozen",
        "bilinear",
        "ds_a",
        "block5_conv3convolution14 × 14 × 5122,359,808trained",
        "2 epochs. Epoch 2 was the best on the validation pictures, and its weights were kept.",
        "fitted on the validation pictures, makes the model less sure",
        "95 % precise from",
        "hidden units8",
        "augmentationnone",
    ):
        assert part in text


def test_there_are_the_pictures_that_it_shows() -> None:
    files = report(("cat", "dog", "owl"))
    assert sorted(files) == ["confusion_matrix.png", "learning_curves.png", "reliability.png", "report.html"]
    shown = [attributes for name, attributes in Page(files["report.html"].decode()).tags if name == "img"]
    assert len(shown) == 3
    assert all(each["alt"] for each in shown)


def test_nothing_comes_from_outside_and_nothing_runs() -> None:
    html = report(("cat", "dog"))["report.html"].decode()
    parsed = Page(html)
    assert not {name for name, _ in parsed.tags} & {"script", "link", "iframe", "form", "object", "a"}
    assert all(value.startswith("data:image/png;base64,") for name, value in parsed.attributes() if name == "src")
    assert not re.search(r"https?:|@import|url\(", html)
    policies = [value for name, value in parsed.attributes() if name == "content" and "default-src" in value]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_a_name_is_never_markup() -> None:
    plain, hostile = page(tuple("abcdef")), page(HOSTILE)
    assert [name for name, _ in hostile.tags if name in ("script", "style", "img")] == ["style", "img", "img", "img"]
    assert {name for name, _ in hostile.attributes()} == {name for name, _ in plain.attributes()}
    for name in HOSTILE[:4]:
        assert name in "".join(hostile.texts)
    assert not re.search("[\x00-\x09\x0b-\x1f\ud800-\udfff]", "".join(hostile.texts))
    assert ("bdi", {}) in hostile.tags


def test_without_anything_measured_it_says_so() -> None:
    files = report(("cat", "dog"), validation=0, test=0)
    assert sorted(files) == ["learning_curves.png", "report.html"]
    text = Page(files["report.html"].decode()).text
    assert "How good it is has not been measured" in text
    assert "2 epochs, without validation pictures" in text


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        ("block5_pool", "All 13 convolution layers of VGG16 are frozen, as ImageNet left them; the head"),
        ("input", "All 13 convolution layers of VGG16 were trained, and the head"),
        (
            "block5_conv2",
            "The first 12 of VGG16's 13 convolution layers are frozen, as ImageNet left them; the last 1 ",
        ),
    ],
)
def test_the_cut_in_words(cut: str, words: str) -> None:
    card = card_of(("cat", "dog"), cut)
    assert (
        words
        in page(
            ("cat", "dog"),
            validation=0,
            card={"cut": cut, "tail": card.tail, "layers": card.layers, "parameters": card.parameters},
        ).text
    )


def test_many_classes_unfold() -> None:
    parsed = page(tuple(f"class {i:02}" for i in range(40)), validation=80, test=0)
    assert "class 23 and 16 more." in parsed.text
    assert "10 more" in parsed.text
    assert parsed.text.count("class 39") >= 3
    assert "Of 80 validation pictures, which it did not learn from" in parsed.text


def test_the_same_input_gives_the_same_bytes() -> None:
    assert report(("cat", "dog")) == report(("cat", "dog"))


def test_a_text_stands_where_it_was_put() -> None:
    page = document("<t>", "p > a {}", "x 'y'", tag("p", "a", None, tag("b", "<b>", class_='"q"'), "c", "d & e"))
    assert page == (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="x \'y\'">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>&lt;t&gt;</title>'
        '<style>p > a {}</style></head><body><p>a<b class="&quot;q&quot;">&lt;b&gt;</b>cd &amp; e</p></body></html>\n'
    )
