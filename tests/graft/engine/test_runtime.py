"""Any mix of grafts in one batch: each answer is the one that its model gives alone, and no layer runs in vain."""

from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.engine.runtime import Asked, run
from graft.types import Precision
from graft.vgg16.heads import Graft, by_parameter, initial_head
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT, LAST, HeadSpec, between, position, tail_shapes
from graft.vgg16.trunk import Features, TensorFlowTrunk
from tests.networks import random_trunk

SPEC = HeadSpec("avg", (), batch_norm=False, dropout=0.0, classes=3)
CUTS = ("block4_pool", "block5_conv2", LAST)


class CountingTrunk:
    """The real trunk, and how many pictures each layer has run for."""

    precision: Precision = "float32"

    def __init__(self) -> None:
        self._trunk = TensorFlowTrunk(random_trunk())
        self.layer_pictures = 0

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        self.layer_pictures += len(pictures) * len(between(start, max(cuts, key=position)))
        return self._trunk.run(pictures, start, cuts)


def graft(cut: str, seed: int) -> Graft:
    tail = {name: array for name, array in by_parameter(random_trunk()).items() if name in tail_shapes(cut)}
    return Graft(cut, SPEC, {**tail, **initial_head(SPEC, seed)})


@pytest.fixture(scope="module")
def trunk() -> CountingTrunk:
    return CountingTrunk()


@pytest.fixture(scope="module")
def grafts() -> list[Graft]:
    """Two with each cut."""
    return [graft(cut, seed) for cut in CUTS for seed in (1, 2)]


@pytest.fixture(scope="module")
def pictures() -> Features:
    pixels = np.random.default_rng(3).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    return np.concatenate([network_input(pixels, "caffe"), network_input(pixels, "none")])


@pytest.fixture(scope="module")
def alone(trunk: CountingTrunk, grafts: list[Graft], pictures: Features) -> dict[tuple[int, int], Features]:
    """(picture, graft) -> logits, every picture by itself."""
    features = [trunk.run(pictures[p : p + 1], INPUT, CUTS) for p in range(len(pictures))]
    return {
        (p, g): graft.logits(features[p][graft.cut])[0] for p in range(len(pictures)) for g, graft in enumerate(grafts)
    }


@given(mix=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=5))
@settings(max_examples=10, deadline=None)
def test_any_mix_answers_as_each_model_alone(
    trunk: CountingTrunk,
    grafts: list[Graft],
    pictures: Features,
    alone: dict[tuple[int, int], Features],
    mix: list[tuple[int, int]],
) -> None:
    before = trunk.layer_pictures
    answers = run(trunk, [Asked(pictures[p], grafts[g]) for p, g in mix])
    assert trunk.layer_pictures - before == sum(len(between(INPUT, grafts[g].cut)) for _, g in mix)
    for answer, asked in zip(answers, mix, strict=True):
        np.testing.assert_allclose(answer, alone[asked], rtol=1e-4, atol=1e-5 * np.abs(alone[asked]).max())


def test_grafts_of_one_architecture_share_their_function(grafts: list[Graft]) -> None:
    assert grafts[0]._function is grafts[1]._function
    assert grafts[0]._function is not grafts[2]._function
