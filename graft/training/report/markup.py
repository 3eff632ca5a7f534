"""HTML as a tree, so that a text is a text whatever stands in it: the serialiser escapes, nobody else has to."""

import unicodedata
from collections.abc import Sequence
from xml.etree.ElementTree import Element, tostring

__all__ = ["Child", "Element", "Rows", "document", "name_of", "table", "tag"]

Child = Element | str | None
Rows = Sequence[Sequence[Child]]


def tag(name: str, /, *children: Child, **attributes: str) -> Element:
    """An element; a None among its children is left out. Attributes: `class_` is `class`, and so on."""
    element = Element(name, {key.rstrip("_").replace("_", "-"): _text(value) for key, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif child is not None and len(element):
            element[-1].tail = (element[-1].tail or "") + _text(child)
        elif child is not None:
            element.text = (element.text or "") + _text(child)
    return element


def name_of(thing: str) -> Element:
    """A class or file as its owner calls it, in whatever script: what is written from right to left turns nothing
    around it."""
    return tag("bdi", thing)


def table(head: Sequence[str], rows: Rows) -> Element:
    """One that is too wide is scrolled by itself, not the page."""
    columns = tag("thead", tag("tr", *(tag("th", title, scope="col") for title in head)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in cells)) for cells in rows))
    return tag("div", tag("table", columns, body), class_="scroll")


def document(title: str, style: str, policy: str, *body: Child) -> str:
    """A whole page that needs nothing from anywhere. style: CSS; policy: its Content-Security-Policy."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", style),
    )
    page = tag("html", head, tag("body", *body), lang="en")
    return f"<!DOCTYPE html>\n{tostring(page, encoding='unicode', method='html')}\n"


def _text(value: str) -> str:
    """Without what no page may hold: control characters, and halves of surrogate pairs."""
    return "".join("\ufffd" if unicodedata.category(each) in ("Cc", "Cs") and each != "\n" else each for each in value)
