"""Any mix of branches in one batch: each answer is the one that it gives alone, and no layer runs in vain."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.engine.runtime import Array, Asked, Branch, Embedding, run
from graft.types import Precision
from graft.vgg16.heads import Graft, by_parameter, initial_head
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT, LAST, LAYERS, HeadSpec, between, position, tail_shapes
from graft.vgg16.trunk import Features, TensorFlowTrunk
from tests.networks import random_trunk

SPEC = HeadSpec("avg", (), batch_norm=False, dropout=0.0, classes=3)
CUTS = ("block4_pool", "block5_conv2", LAST)


class NumberTrunk:
    """A picture is one number, to which each layer adds one; what has run for which picture is noted."""

    precision: Precision = "float32"
    device = "CPU:0"
    NAMES = tuple(layer.name for layer in LAYERS)

    def __init__(self) -> None:
        self.ran: Counter[tuple[float, str]] = Counter()

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        outputs = {start: pictures}
        for layer in between(start, max(cuts, key=position)):
            self.ran.update((float(picture) // 100, layer.name) for picture in pictures)
            pictures = pictures + 1
            outputs[layer.name] = pictures
        return {cut: outputs[cut] for cut in cuts}


@dataclass(frozen=True)
class Times:
    cut: str
    factor: int

    def answer(self, features: Array, device: str) -> Array:  # noqa: ARG002
        return features[:, None] * np.float32(self.factor)


times = st.builds(Times, st.sampled_from(NumberTrunk.NAMES), st.integers(1, 3))
wanted = st.lists(st.lists(times, min_size=1, max_size=4, unique=True).map(tuple), min_size=1, max_size=6)


@given(wanted)
def test_each_layer_runs_once_for_those_that_go_through_it_and_for_no_others(wanted: list[tuple[Times, ...]]) -> None:
    trunk = NumberTrunk()
    asked = [Asked(np.array(100 * i, np.float32), branches) for i, branches in enumerate(wanted)]
    answers = run(trunk, asked)
    assert [[float(answer[0]) for answer in each] for each in answers] == [
        [(100 * i + position(branch.cut)) * branch.factor for branch in branches] for i, branches in enumerate(wanted)
    ]
    assert trunk.ran == Counter(
        (i, name)
        for i, branches in enumerate(wanted)
        for name in NumberTrunk.NAMES[1 : max(position(branch.cut) for branch in branches) + 1]
    )


def test_pictures_of_equal_branches_run_together() -> None:
    calls: list[int] = []

    @dataclass(frozen=True)
    class Counted(Times):
        def answer(self, features: Array, device: str) -> Array:
            calls.append(len(features))
            return super().answer(features, device)

    same = [Asked(np.array(0, np.float32), (Counted(LAST, 1), Counted(LAST, 2))) for _ in range(3)]
    run(NumberTrunk(), same)
    assert calls == [3, 3]


class CountingTrunk:
    """The real trunk, and how many pictures each layer has run for."""

    precision: Precision = "float32"
    device = "CPU:0"

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
def branches(grafts: list[Graft]) -> list[Branch]:
    """And an embedding of each pooling, two of them where a graft is cut as well."""
    return [*grafts, Embedding("block4_conv1", "max"), Embedding("block4_pool", "avg"), Embedding(LAST, "flatten")]


@pytest.fixture(scope="module")
def pictures() -> Features:
    pixels = np.random.default_rng(3).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    return np.concatenate([network_input(pixels, "caffe"), network_input(pixels, "none")])


@pytest.fixture(scope="module")
def alone(trunk: CountingTrunk, branches: list[Branch], pictures: Features) -> dict[tuple[int, int], Array]:
    """(picture, branch) -> its answer, every picture by itself."""
    cuts = {branch.cut for branch in branches}
    features = [trunk.run(pictures[p : p + 1], INPUT, cuts) for p in range(len(pictures))]
    return {
        (p, b): branch.answer(features[p][branch.cut], trunk.device)[0]
        for p in range(len(pictures))
        for b, branch in enumerate(branches)
    }


@given(
    mix=st.lists(
        st.tuples(st.integers(0, 5), st.sets(st.integers(0, 8), min_size=1, max_size=3)), min_size=1, max_size=4
    )
)
@settings(max_examples=6)
def test_any_mix_answers_as_each_alone(
    trunk: CountingTrunk,
    branches: list[Branch],
    pictures: Features,
    alone: dict[tuple[int, int], Array],
    mix: list[tuple[int, set[int]]],
) -> None:
    before = trunk.layer_pictures
    answers = run(trunk, [Asked(pictures[p], tuple(branches[b] for b in sorted(chosen))) for p, chosen in mix])
    assert trunk.layer_pictures - before == sum(max(position(branches[b].cut) for b in chosen) for _, chosen in mix)
    for (p, chosen), answered in zip(mix, answers, strict=True):
        for b, answer in zip(sorted(chosen), answered, strict=True):
            np.testing.assert_allclose(answer, alone[p, b], rtol=1e-4, atol=1e-5 * np.abs(alone[p, b]).max())


def test_grafts_of_one_architecture_share_their_function(grafts: list[Graft]) -> None:
    assert grafts[0]._function is grafts[1]._function
    assert grafts[0]._function is not grafts[2]._function
