"""Any mix of branches in one batch: each answer is the one that it gives alone, and no layer runs in vain."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.engine.runtime import Answer, Array, Asked, Branch, Embedding, run, work_of
from graft.types import Precision, Preprocessing
from graft.vgg16 import layers
from graft.vgg16.heads import Graft, by_parameter, initial_head
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT, LAST, LAYERS, HeadSpec, between, position, tail_shapes
from graft.vgg16.trunk import Features, TensorFlowTrunk
from tests.networks import random_trunk

SPEC = HeadSpec("avg", (), batch_norm=False, dropout=0.0, classes=3)
CUTS = ("block4_pool", "block5_conv2", LAST)


class NumberTrunk:
    """A picture is one number, to which each layer adds one; what has run for which picture is noted."""

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
    multiply_adds: int = 1

    def answer(self, features: Array, device: str) -> Array:  # noqa: ARG002 - its device is this process
        return features[:, None] * np.float32(self.factor)


def number(value: int, branches: tuple[Branch, ...]) -> Asked:
    return Asked(np.array(value), "none", "float32", branches)


def good(answer: Answer) -> tuple[Array, ...]:
    if isinstance(answer, Exception):
        raise answer
    return answer


times = st.builds(Times, st.sampled_from(NumberTrunk.NAMES), st.integers(1, 3))
wanted = st.lists(st.lists(times, min_size=1, max_size=4, unique=True).map(tuple), min_size=1, max_size=6)


@given(wanted)
def test_each_layer_runs_once_for_those_that_go_through_it_and_for_no_others(wanted: list[tuple[Times, ...]]) -> None:
    trunk = NumberTrunk()
    asked = [number(100 * i, branches) for i, branches in enumerate(wanted)]
    answers = run(trunk, asked)
    assert [[float(answer[0]) for answer in good(each)] for each in answers] == [
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

    same = [number(0, (Counted(LAST, 1), Counted(LAST, 2))) for _ in range(3)]
    run(NumberTrunk(), same)
    assert calls == [3, 3]


def test_a_branch_that_fails_fails_those_who_want_it_and_nobody_else() -> None:
    @dataclass(frozen=True)
    class Broken(Times):
        def answer(self, features: Array, device: str) -> Array:
            raise MemoryError(f"no room for {len(features)} on {device}")

    twice, broken = Times(LAST, 2), Broken("block3_pool", 1)
    answers = run(NumberTrunk(), [number(0, (twice,)), number(100, (twice, broken)), number(200, (twice,))])
    assert isinstance(answers[1], MemoryError)
    assert [float(good(answers[i])[0][0]) for i in (0, 2)] == [36, 436]


class CountingTrunk:
    """The real trunk, and how many pictures each layer has run for."""

    device = "CPU:0"

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self._trunk = TensorFlowTrunk(random_trunk(), precision)
        self.layer_pictures = 0

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        self.layer_pictures += len(pictures) * len(between(start, max(cuts, key=position)))
        return self._trunk.run(pictures, start, cuts)


def graft(cut: str, seed: int, precision: Precision = "float32") -> Graft:
    tail = {name: array for name, array in by_parameter(random_trunk()).items() if name in tail_shapes(cut)}
    return Graft(cut, SPEC, {**tail, **initial_head(SPEC, seed)}, precision)


class Mix:
    """Everything that a batch may be made of at one precision, and what each of it answers alone."""

    def __init__(self, precision: Precision, pixels: np.ndarray) -> None:
        self.trunk = CountingTrunk(precision)
        self.branches: list[Branch] = [
            graft(INPUT, 0, precision),
            *(graft(cut, seed, precision) for cut in CUTS for seed in (1, 2)),
            Embedding("block4_conv1", "max"),
            Embedding("block4_pool", "avg"),  # where a graft is cut as well
            Embedding(LAST, "flatten"),
        ]
        self._pictures: list[tuple[np.ndarray, Preprocessing]] = [(pixels[i], how) for i in (0, 1) for how in HOW]
        self.alone = [self._alone(*picture) for picture in self._pictures]

    def _alone(self, pixels: np.ndarray, preprocessing: Preprocessing) -> list[Array]:
        """Each branch's answer, from one picture's own pass through the trunk."""
        cuts = {branch.cut for branch in self.branches}
        features = self.trunk.run(network_input(pixels[None], preprocessing), INPUT, cuts)
        return [branch.answer(features[branch.cut], self.trunk.device)[0] for branch in self.branches]

    def asked(self, picture: int, branches: Collection[int]) -> Asked:
        pixels, preprocessing = self._pictures[picture]
        return Asked(pixels, preprocessing, self.trunk.precision, tuple(self.branches[b] for b in sorted(branches)))


HOW: tuple[Preprocessing, ...] = ("caffe", "none")
# Of the largest number of an answer. At bfloat16 a batch of another size may sum in another order, and 8 bits are left.
TOLERANCE: dict[Precision, float] = {"float32": 1e-5, "bfloat16": 2e-2}


@pytest.fixture(scope="module", params=TOLERANCE)
def mix(request: pytest.FixtureRequest) -> Mix:
    pixels = np.random.default_rng(3).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    return Mix(request.param, pixels)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 9), min_size=1, max_size=3)), min_size=1, max_size=4)
)
@settings(max_examples=5)
def test_any_mix_answers_as_each_alone(mix: Mix, wanted: list[tuple[int, set[int]]]) -> None:
    before = mix.trunk.layer_pictures
    answers = run(mix.trunk, [mix.asked(picture, chosen) for picture, chosen in wanted])
    minimum = sum(max(position(mix.branches[b].cut) for b in chosen) for _, chosen in wanted)
    assert mix.trunk.layer_pictures - before == minimum
    for (picture, chosen), answered in zip(wanted, answers, strict=True):
        for b, answer in zip(sorted(chosen), good(answered), strict=True):
            alone = mix.alone[picture][b]
            np.testing.assert_allclose(answer, alone, rtol=0, atol=TOLERANCE[mix.trunk.precision] * np.abs(alone).max())


def test_the_work_of_a_picture_is_what_runs_for_it() -> None:
    whole = layers.multiply_adds(INPUT, LAST) + 512 * 3
    assert work_of([graft(LAST, 1)]) == work_of([graft(INPUT, 1)]) == whole
    block5 = layers.multiply_adds("block4_pool", LAST)
    assert work_of([graft("block4_pool", 1), graft("block4_pool", 2)]) == whole + 512 * 3 + block5
    assert work_of([Embedding("block1_conv1", "avg")]) == 224 * 224 * 27 * 64


def test_grafts_of_one_architecture_share_their_function() -> None:
    assert graft(LAST, 1)._function is graft(LAST, 2)._function
    assert graft(LAST, 1)._function is not graft("block4_pool", 1)._function
