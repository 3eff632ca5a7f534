from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import pytest

from graft import images
from graft.types import Precision
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT, LAST, LAYERS, feature_shape
from graft.vgg16.trunk import Features, TensorFlowTrunk
from graft.vgg16.weights import WeightStore
from tests.drawing import CLASSES, jpeg
from tests.networks import BFLOAT16_ERROR, apart, keras_trunk, random_trunk

POOLS = tuple(layer.name for layer in LAYERS if layer.kind == "pooling")


@pytest.fixture(scope="module")
def trunk() -> TensorFlowTrunk:
    return TensorFlowTrunk(random_trunk())


@pytest.fixture(scope="module")
def bfloat16_trunk() -> TensorFlowTrunk:
    return TensorFlowTrunk(random_trunk(), "bfloat16")


@pytest.fixture(params=["float32", "bfloat16"])
def either(request: pytest.FixtureRequest, trunk: TensorFlowTrunk, bfloat16_trunk: TensorFlowTrunk) -> TensorFlowTrunk:
    return trunk if request.param == trunk.precision else bfloat16_trunk


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.stack([images.decode(jpeg(label, 0)) for label in CLASSES])


@pytest.fixture(scope="module")
def numbers(pixels: np.ndarray) -> Features:
    return network_input(pixels, "caffe")


# Of what must be equal but for the order of its sums; bfloat16's can round another way then.
TOLERANCE: dict[Precision, float] = {"float32": 1e-5, "bfloat16": BFLOAT16_ERROR}


def close(a: Features, b: Features) -> bool:
    return np.allclose(a, b, rtol=1e-4, atol=1e-5 * float(np.abs(b).max()))


def test_preprocessing_is_keras_s_and_leaves_its_input_alone(pixels: np.ndarray) -> None:
    before = pixels.copy()
    theirs = keras.applications.vgg16.preprocess_input(pixels.astype(np.float32))
    np.testing.assert_allclose(network_input(pixels, "caffe"), theirs, rtol=1e-6)
    np.testing.assert_array_equal(network_input(pixels, "none"), pixels.astype(np.float32))
    np.testing.assert_array_equal(pixels, before)


def test_every_layer_s_output_is_keras_s(trunk: TensorFlowTrunk, numbers: Features) -> None:
    names = [layer.name for layer in LAYERS[1:]]
    model = keras_trunk(random_trunk())
    theirs = keras.Model(model.input, [model.get_layer(name).output for name in names])(numbers)
    ours = trunk.run(numbers, INPUT, names)
    assert list(ours) == names
    for name, output in zip(names, theirs, strict=True):
        assert close(ours[name], output.numpy()), name


@pytest.mark.parametrize("middle", ["block1_conv1", "block3_pool", "block5_conv3"])
def test_two_segments_make_the_whole(either: TensorFlowTrunk, numbers: Features, middle: str) -> None:
    whole = either.run(numbers, INPUT, [LAST])[LAST]
    at_middle = either.run(numbers, INPUT, [middle])[middle]
    assert at_middle.shape == (len(numbers), *feature_shape(middle))
    assert apart(either.run(at_middle, middle, [LAST])[LAST], whole) < TOLERANCE[either.precision]


def test_a_batch_is_its_pictures_one_by_one(either: TensorFlowTrunk, numbers: Features) -> None:
    together = either.run(numbers, INPUT, [LAST])[LAST]
    alone = [either.run(numbers[i : i + 1], INPUT, [LAST])[LAST] for i in range(len(numbers))]
    assert apart(together, np.concatenate(alone)) < TOLERANCE[either.precision]


def test_bfloat16_is_float32_but_for_its_rounding(
    trunk: TensorFlowTrunk, bfloat16_trunk: TensorFlowTrunk, numbers: Features
) -> None:
    rounded, exact = bfloat16_trunk.run(numbers, INPUT, POOLS), trunk.run(numbers, INPUT, POOLS)
    for name, features in rounded.items():
        assert features.dtype == np.float32, name
        np.testing.assert_array_equal(features, features.astype(ml_dtypes.bfloat16).astype(np.float32), name)
        assert 0 < apart(features, exact[name]) < BFLOAT16_ERROR, name


def test_bfloat16_is_as_near_on_real_pictures(trunk_file: Path, real_pictures: list[Path]) -> None:
    weights = WeightStore(trunk_file.parent, None, "").trunk()
    pixels = np.stack([images.decode(file.read_bytes()) for file in real_pictures[::6]])
    numbers = network_input(pixels, "caffe")
    rounded, exact = (
        TensorFlowTrunk(weights, precision).run(numbers, INPUT, POOLS) for precision in ("bfloat16", "float32")
    )
    assert max(apart(rounded[name], exact[name]) for name in POOLS) < BFLOAT16_ERROR


def test_a_batch_that_is_filled_up_is_cut_again(trunk: TensorFlowTrunk, numbers: Features) -> None:
    """TensorFlow runs what is meant for a GPU on the processor where there is none."""
    cuts = ["block1_pool", "block2_pool"]
    asked, filled = (
        each.run(numbers, INPUT, cuts) for each in (trunk, TensorFlowTrunk(random_trunk(), device="GPU:0"))
    )
    for name in cuts:
        assert filled[name].shape == asked[name].shape
        assert apart(filled[name], asked[name]) < 2e-3  # a GPU multiplies float32 with TensorFloat-32's ten bits


def test_a_cut_where_the_features_are_already_costs_nothing(trunk: TensorFlowTrunk, numbers: Features) -> None:
    assert trunk.run(numbers, INPUT, [INPUT])[INPUT] is numbers


def test_a_cut_before_the_start_is_an_error(trunk: TensorFlowTrunk) -> None:
    features = np.zeros((1, *feature_shape("block3_pool")), np.float32)
    with pytest.raises(ValueError, match="cuts must not come before block3_pool; received block2_pool"):
        trunk.run(features, "block3_pool", ["block2_pool"])


def test_no_layer_is_held_twice_whatever_cuts_come_into_use(numbers: Features) -> None:
    trunk = TensorFlowTrunk(random_trunk())
    whole = trunk.run(numbers, INPUT, [LAST])[LAST]
    for cuts in (["block4_pool"], ["block2_pool", LAST], ["block5_conv2"]):
        assert list(trunk.run(numbers, INPUT, cuts)) == cuts
    assert sorted(trunk._segments) == [
        ("block2_pool", "block4_pool"),
        ("block4_pool", "block5_conv2"),
        ("block5_conv2", LAST),
        (INPUT, "block2_pool"),
    ]
    assert close(trunk.run(numbers, INPUT, [LAST])[LAST], whole)


def test_what_nobody_has_asked_for_is_not_compiled(numbers: Features) -> None:
    trunk = TensorFlowTrunk(random_trunk())
    trunk.run(numbers, INPUT, ["block1_conv1"])
    assert list(trunk._segments) == [(INPUT, "block1_conv1")]
