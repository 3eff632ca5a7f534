"""What a plan decides, as a pure function of what was measured: the rule's cut, what the budget makes of it, epochs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graft.training.plan.costs import Cost
from graft.training.plan.probes import Probe
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from graft.vgg16.layers import CONVOLUTIONS, position, tail_shapes, trainable_parameters

# From the head alone to the whole network: the ends of the trunk's blocks.
CUTS = ("block5_pool", "block4_pool", "block3_pool", "block2_pool", "block1_pool", "input")
PROBED = CUTS[:3]

# The thresholds. What each was read from: docs/decisions/0017-the-plan.md.
SMALL_PICTURES, SMALL_A_CLASS = 1000, 100  # training pictures; fewer are a small set
LEAD_ERRORS = 1.0  # a probe leads another's by so many standard errors of its lead
FLATTEN_ERRORS = 2.0  # flatten's probe leads the averages' by so many, as it makes the head 49 times as large
SOLVED = 0.99  # a probe that is so often right leaves convolutions nothing to learn
HEAD_EPOCHS, HEAD_PATIENCE = 100, 10  # an epoch of the head alone takes a moment
HEAD_EPOCHS_UNWATCHED = 30  # without validation pictures, which would say when it is enough
HEAD_LEARNING_RATE = 1e-2  # of one layer on averages; at 1e-3 a small set is not learned in 100 epochs
TAIL_PICTURES, TAIL_PATIENCE = 8000, 3  # that a tail is shown: it has mostly learned after half of them
LEAST_EPOCHS, MOST_EPOCHS = 3, 30  # of a tail
FLATTEN_LEARNING_RATE = 1e-4  # a step of Adam moves a logit by the rate for each input: flatten has 49 times as many
IMBALANCE = 3.0  # times as many pictures in the largest class as in the smallest


@dataclass(frozen=True)
class Data:
    """What is counted: pictures by split; of the training split, by class."""

    pictures: Mapping[str, int]
    by_class: Sequence[int]

    @property
    def small(self) -> bool:
        return self.pictures["train"] < max(SMALL_PICTURES, SMALL_A_CLASS * len(self.by_class))


@dataclass(frozen=True)
class Candidate:
    """A cut that may be trained from: the recipe that this comes to, and what it costs."""

    recipe: Recipe
    probe: Probe | None
    cost: Cost
    fits: bool
    trainable_parameters: int

    @property
    def cut(self) -> str:
        return self.recipe.cut

    @property
    def seconds(self) -> float:
        """If no early stop ends it."""
        return self.cost.of(self.recipe.epochs)

    def as_dict(self) -> dict[str, Any]:
        return {
            "cut": self.cut,
            "frozen_convolutions": len(CONVOLUTIONS) - len(tail_shapes(self.cut)) // 2,
            "trainable_parameters": self.trainable_parameters,
            "probe_accuracy": self.probe and round(self.probe.accuracy, 4),
            "probe_error": self.probe and round(self.probe.error, 4),
            "epochs": self.recipe.epochs,
            "seconds": round(self.seconds, 1),
            "extraction_seconds": round(self.cost.extraction, 1),
            "epoch_seconds": round(self.cost.epoch, 2),
            "fits": self.fits,
        }


@dataclass(frozen=True)
class Choice:
    """One of the candidates, and why: sentences."""

    candidates: Sequence[Candidate]
    chosen: Candidate
    reasons: Sequence[str]


def choose(
    request: RecipeRequest,
    data: Data,
    probes: Mapping[str, Probe],
    cost: Callable[[Recipe], Cost],
    spent: float = 0.0,
    *,
    flatten: bool = False,
) -> Choice:
    """`probes` by cut, none where the cut was asked for. spent: seconds of the budget that are gone.

    flatten: whether a head alone is to have every number of block5_pool. Raises InvalidFields when what was asked does
    not go together with any cut.
    """
    budget = request.resolve().time_budget
    left = math.inf if budget is None else max(0.0, budget - spent)
    cuts = sorted({*CUTS, *([request.asked["cut"]] if "cut" in request.asked else [])}, key=position, reverse=True)
    candidates = [_candidate(request, data, cut, probes.get(cut), cost, left, flatten) for cut in cuts]
    if "cut" in request.asked:
        wanted, reasons = request.asked["cut"], [f"You asked for the cut {request.asked['cut']}."]
    else:
        wanted, reasons = rule(data, probes)
    at = cuts.index(wanted)
    towards_head = [candidates[at]] if "cut" in request.asked else candidates[at::-1]
    chosen = next((candidate for candidate in towards_head if candidate.fits), towards_head[-1])
    reasons = [
        *reasons,
        *_on_time(candidates[at], chosen, budget, request.asked.get("epochs", LEAST_EPOCHS)),
        *_on_details(request, data, chosen.recipe),
    ]
    return Choice(candidates, chosen, reasons)


def rule(data: Data, probes: Mapping[str, Probe]) -> tuple[str, list[str]]:
    """The cut that the data ask for whatever it costs, and why."""
    size = "small" if data.small else "large"
    classes = len(data.by_class)
    reasons = [
        f"{data.pictures['train']:,} training pictures of {classes} classes are a {size} set: small is under "
        f"{SMALL_PICTURES:,}, or under {SMALL_A_CLASS} a class."
    ]
    found = ", ".join(f"{cut} {probes[cut].accuracy:.1%}" for cut in PROBED)
    block5, block4, block3 = (probes[cut] for cut in PROBED)
    reasons.append(f"A linear probe, cross-validated on the training pictures, is right from {found}.")
    if block5.accuracy >= SOLVED:
        return "block5_pool", [*reasons, "The last layer leaves nothing to learn: the head alone is trained."]
    if leads(block5, block4):
        near = "The last block's features are the best, so the pictures are near to ImageNet's"
        if data.small:
            return "block5_pool", [*reasons, f"{near}, and few: the head alone is trained."]
        return "block4_pool", [*reasons, f"{near}, and many: block 5 is trained too."]
    far = "The last block's features are no better than those before it, so the pictures are far from ImageNet's"
    if leads(block3, block4):
        return "block3_pool", [*reasons, f"{far}, and block 4's are worse than block 3's: both blocks are trained too."]
    return "block4_pool", [
        *reasons,
        f"{far}: block 5 is trained too, and no more, as block 3's are not the best either.",
    ]


def leads(one: Probe, other: Probe, errors: float = LEAD_ERRORS) -> bool:
    """By so many standard errors, and at all."""
    lead, error = one.lead(other)
    return lead > 0 and lead >= errors * error


def _candidate(
    request: RecipeRequest,
    data: Data,
    cut: str,
    probe: Probe | None,
    cost: Callable[[Recipe], Cost],
    left: float,
    flatten: bool,
) -> Candidate:
    planned = _planned(request, data, cut, flatten)
    recipe = with_cut(request, cut, planned)
    costs = cost(recipe)
    affordable = costs.epochs_within(left) if left < math.inf else math.inf
    least = recipe.epochs
    if "epochs" not in request.asked:
        wanted = _epochs(recipe, data)
        least = min(wanted, LEAST_EPOCHS)
        recipe = with_cut(request, cut, {**planned, "epochs": max(1, int(min(wanted, affordable)))})
    trainable = trainable_parameters(cut, recipe.head(len(data.by_class)))
    return Candidate(recipe, probe, costs, affordable >= least, trainable)


def with_cut(request: RecipeRequest, cut: str, planned: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe with another cut than was asked for; a tail's learning rate goes where there is no tail."""
    asked = {**request.asked, "cut": cut}
    if not tail_shapes(cut):
        asked.pop("trunk_learning_rate", None)
    return RecipeRequest(request.preset, asked).resolve(planned)


def _planned(request: RecipeRequest, data: Data, cut: str, flatten: bool) -> dict[str, Any]:
    validated = data.pictures["validation"] > 0
    patience = TAIL_PATIENCE if tail_shapes(cut) else HEAD_PATIENCE
    planned: dict[str, Any] = {
        "keep": "best" if validated else "last",
        "early_stopping": {"monitor": "val_loss", "patience": patience} if validated else None,
        "class_weights": "balanced" if _imbalance(data) > IMBALANCE else "none",
    }
    if tail_shapes(cut):
        return planned
    if flatten:
        planned["pooling"] = "flatten"
    head = with_cut(request, cut, planned)
    if head.pooling == "flatten":
        planned["learning_rate"] = FLATTEN_LEARNING_RATE
    elif not head.hidden_units:
        planned["learning_rate"] = HEAD_LEARNING_RATE
    return planned


def _epochs(recipe: Recipe, data: Data) -> int:
    if not tail_shapes(recipe.cut):
        return HEAD_EPOCHS if data.pictures["validation"] else HEAD_EPOCHS_UNWATCHED
    drawn = recipe.steps_per_epoch * recipe.batch_size if recipe.steps_per_epoch else data.pictures["train"]
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, TAIL_PICTURES // drawn))


def _imbalance(data: Data) -> float:
    return max(data.by_class) / max(1, min(data.by_class))


def _on_time(wanted: Candidate, chosen: Candidate, budget: int | None, epochs: int) -> list[str]:
    reasons = []
    if chosen.cut != wanted.cut:
        reasons.append(
            f"time_budget {budget} s has no room for {epochs} epochs from {wanted.cut} (about "
            f"{wanted.cost.of(epochs):,.0f} s): trained from {chosen.cut} instead."
        )
    if not chosen.fits:
        reasons.append(
            f"Even so it takes about {chosen.seconds:,.0f} s, and time_budget is {budget} s: the training ends after "
            "the epoch in which that runs out."
        )
    return reasons


def _on_details(request: RecipeRequest, data: Data, recipe: Recipe) -> list[str]:
    reasons = []
    if "epochs" not in request.asked:
        until = ", or until the validation pictures say that more does not help" if recipe.early_stopping else ""
        reasons.append(f"At most {recipe.epochs} epochs{until}.")
    if not data.pictures["validation"]:
        reasons.append("There are no validation pictures, so the last epoch's weights are kept.")
    if "class_weights" not in request.asked and recipe.class_weights == "balanced":
        reasons.append(f"The largest class has {_imbalance(data):.1f} times the pictures of the smallest: balanced.")
    if "pooling" not in request.asked and recipe.pooling == "flatten":
        reasons.append("A probe on every number of block5_pool is better than one on their averages: flatten.")
    if fixed := [field for field in request.asked if field not in ("cut", "seed")]:
        reasons.append(f"As you asked: {', '.join(fixed)}.")
    return reasons
