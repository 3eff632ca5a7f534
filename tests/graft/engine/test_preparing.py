"""Which versions are unfit, whatever is wrong with them."""

from dataclasses import replace

import numpy as np
import pytest

from graft.engine.preparing import Preparer
from graft.engine.trunks import Trunks
from graft.errors import CorruptVersion, InvalidFields
from graft.registry import ModelCard
from graft.types import Precision
from graft.vgg16.weights import TRUNK_DIGEST
from tests.graft.registry.versions import card_of, weights_of
from tests.trunks import TinyTrunk


@pytest.fixture
def card() -> ModelCard:
    return card_of("signs", 2, "job").model_copy(update={"trunk_digest": TRUNK_DIGEST})


def always(_trained: Precision) -> Precision:
    return "float32"


def failing(problem: Exception) -> Preparer:
    """Its trunk cannot be made."""

    def fail(_precision: Precision, _device: str) -> TinyTrunk:
        raise problem

    return Preparer(Trunks(fail, ("CPU:0",)), always)


preparer = Preparer(Trunks(TinyTrunk, ("CPU:0",)), always)


def test_a_version_is_made_ready_at_the_precision_that_it_is_served_at(card: ModelCard) -> None:
    trained = replace(card.input, precision="bfloat16")
    model = preparer.model(card.model_copy(update={"input": trained}), weights_of(2))
    assert model.input == replace(trained, precision="float32")
    assert model.classes == card.classes


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (ValueError("it says NaN"), r"'signs' version 2 did not: it says NaN\. Train it again, or delete it\.$"),
        (KeyError("dense_1/kernel"), "did not: 'dense_1/kernel'"),
        (InvalidFields("cut must be one of"), "did not: cut must be one of"),
    ],
)
def test_a_version_that_cannot_warm_up_is_unfit(card: ModelCard, problem: Exception, reason: str) -> None:
    with pytest.raises(CorruptVersion, match=reason):
        failing(problem).model(card, weights_of(2))


def test_so_is_one_that_lacks_a_parameter(card: ModelCard) -> None:
    weights = weights_of(2)
    del weights["predictions/bias"]
    with pytest.raises(CorruptVersion, match="did not: 'predictions/bias'"):
        preparer.model(card, weights)


def test_and_one_that_answers_no_numbers(card: ModelCard) -> None:
    weights = {**weights_of(2), "predictions/bias": np.array([0, np.nan, 0], np.float32)}
    with pytest.raises(CorruptVersion, match=r"must answer numbers; 'signs' version 2"):
        preparer.model(card, weights)


def test_what_did_not_work_this_time_is_passed_on(card: ModelCard) -> None:
    with pytest.raises(OSError, match="the disk"):
        failing(OSError("the disk")).model(card, weights_of(2))
