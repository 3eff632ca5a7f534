"""What is said of a model, a version or an alias that is not there: the rule, what there is, and what to do."""

from collections.abc import Collection, Iterable
from itertools import islice

from graft.errors import NotFound
from graft.registry.card import BUILT_IN

_SHOWN = 20


def no_model(model: str, there: Iterable[str]) -> NotFound:
    return NotFound(
        f"A model must have been trained to be used; there are {listed([BUILT_IN, *islice(there, _SHOWN)])}; received "
        f"{model[:100]!r}. Ask for one of these, or train it."
    )


def no_version(model: str, version: int, there: Collection[int]) -> NotFound:
    return NotFound(
        f"A version must exist to be used; {model[:100]!r} has {listed(there)}; received version {version}. "
        "Ask for one of these, or train the model."
    )


def no_alias(model: str, alias: str, there: Collection[str]) -> NotFound:
    return NotFound(
        f"An alias must be set to be used or removed; {model!r} has {listed(sorted(there))}; received "
        f"{alias[:100]!r}. Ask for one of these, or set it."
    )


def listed(things: Collection[object]) -> str:
    """The first of them, for a message."""
    more = ", …" if len(things) > _SHOWN else ""
    return ", ".join(map(str, islice(things, _SHOWN))) + more or "none"
