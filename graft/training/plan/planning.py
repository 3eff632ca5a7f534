"""A plan: the automatic choice of a recipe, from what linear probes on the data and this machine's rates say."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from graft.datasets import Picture
from graft.errors import Interrupted
from graft.training.features import Extracted, FeatureKind, fill
from graft.training.plan.costs import Rates
from graft.training.plan.probes import probe, stratified_sample
from graft.training.plan.rates import Clock, measure, training_step
from graft.training.plan.rules import FLATTEN_ERRORS, PROBED, Choice, Data, choose, leads, with_cut
from graft.training.plan.sources import Sources
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.types import Monitor, Precision, Progress
from graft.vgg16.layers import INPUT, LAST, tail_shapes
from graft.vgg16.weights import TRUNK_DIGEST

SAMPLE = 2000  # pictures that a probe sees: its standard error is then 1.1 % at most
FLATTEN_SAMPLE = 500  # of 25,088 numbers each
TIMED_CUT = "block4_pool"  # of the training step that is timed, unless the recipe has another tail
TIMED_PICTURES = 8  # that measure decoding and the trunk: a batch
UNPOOLED_SHARE = 0.5  # of the store's budget, at most, for rows that a training may need or not


@dataclass(frozen=True)
class Plan:
    """A choice, and what it was made from. sampled: how many training pictures the probes saw."""

    choice: Choice
    data: Data
    sampled: int
    rates: Rates
    precision: Precision

    @property
    def recipe(self) -> Recipe:
        return self.choice.chosen.recipe.at(self.precision)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: a plan job's result, and an event of a training."""
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "cut": self.recipe.cut,
            "reasons": list(self.choice.reasons),
            "candidates": [candidate.as_dict() for candidate in self.choice.candidates],
            "pictures": dict(self.data.pictures),
            "classes": len(self.data.by_class),
            "sampled": self.sampled,
            "rates": asdict(self.rates),
        }


def plan(request: RecipeRequest, sources: Sources, monitor: Monitor, clock: Clock = time.monotonic) -> Plan:
    """Settle an open request.

    One pass of the trunk over (a sample of) the training pictures gives the probes their features, and the training
    that follows what it is likely to need. Raises Interrupted at a request to stop; features that were computed are
    kept.
    """
    started = clock()
    monitor.report(Progress("planning"))
    manifest, base = sources.manifest, request.resolve().at(sources.precision)
    sample = _sample(manifest.of("train"), base.seed)
    labels = np.array([picture.label for picture in sample])
    probed = {} if "cut" in request.asked else {cut: _kind(base, cut, "avg") for cut in PROBED}
    ahead = _ahead(request, base, len(sample), sources.store.budget) if probed else []
    kinds, pixels = list(dict.fromkeys([*probed.values(), *ahead])), sources.pixels(base.interpolation)
    with fill(sources.store, kinds, sample, pixels, sources.trunk, monitor) as extracted:
        _go_on(monitor)
        rates = _rates(request, base, extracted, len(sample), len(manifest.classes), clock)
        _go_on(monitor)
        everything = np.arange(len(sample))
        probes = {cut: probe(extracted.rows(kind, everything), labels, base.seed) for cut, kind in probed.items()}
        data, price = sources.data(), partial(sources.price, rates=rates)
        choice = choose(request, data, probes, price, clock() - started)
        flat = _kind(base, LAST, None)
        if flat in ahead and choice.chosen.recipe.cut == LAST and "pooling" not in request.asked:
            _go_on(monitor)
            if _flatten_wins(extracted, probed[LAST], flat, labels, base.seed):
                choice = choose(request, data, probes, price, clock() - started, flatten=True)
    return Plan(choice, data, len(sample) if probed else 0, rates, sources.precision)


def _go_on(monitor: Monitor) -> None:
    monitor.report(Progress("planning"))
    if monitor.stop_requested():
        raise Interrupted("stopped while planning; the features are kept.")


def _sample(pictures: Sequence[Picture], seed: int) -> list[Picture]:
    """Of the distinct ones: a copy of a picture in another fold would be a question with its answer."""
    distinct = list({picture.sha256: picture for picture in pictures}.values())
    chosen = stratified_sample(np.array([picture.label for picture in distinct]), SAMPLE, seed)
    return [distinct[i] for i in chosen]


def _kind(recipe: Recipe, cut: str, pooling: Literal["avg", "max"] | None) -> FeatureKind:
    return FeatureKind(recipe.input_key, TRUNK_DIGEST, cut, pooling)


def _ahead(request: RecipeRequest, base: Recipe, pictures: int, budget: int) -> list[FeatureKind]:
    """What a training will need of these pictures if the rule comes to block4_pool, or to flatten at block5_pool."""
    last = _kind(base, LAST, base.feature_pooling if "pooling" in request.asked else None)
    kinds = [_kind(base, "block4_pool", None), last]
    room = sum(kind.row_bytes for kind in kinds) * pictures <= UNPOOLED_SHARE * budget
    return kinds if room and base.augmentation is None else []


def _rates(
    request: RecipeRequest,
    base: Recipe,
    extracted: Extracted[Picture],
    sampled: int,
    classes: int,
    clock: Clock,
) -> Rates:
    pictures = extracted.decoders(np.arange(TIMED_PICTURES) % sampled, None)
    whole, none = _kind(base, LAST, "avg"), _kind(base, INPUT, None)
    tail = base.cut if tail_shapes(base.cut) else TIMED_CUT
    return measure(
        TIMED_PICTURES,
        lambda: extracted.extractor.rows(none, pictures),
        lambda: extracted.extractor.rows(whole, pictures),
        with_cut(request, LAST).at(base.input_key.precision),
        with_cut(request, tail).at(base.input_key.precision),
        partial(training_step, classes),
        clock,
    )


def _flatten_wins(
    extracted: Extracted[Picture], avg: FeatureKind, flat: FeatureKind, labels: npt.NDArray[np.int64], seed: int
) -> bool:
    some = stratified_sample(labels, FLATTEN_SAMPLE, seed)
    numbers = extracted.rows(flat, some).reshape(len(some), -1)
    flattened, averaged = (probe(rows, labels[some], seed) for rows in (numbers, extracted.rows(avg, some)))
    return leads(flattened, averaged, FLATTEN_ERRORS)
