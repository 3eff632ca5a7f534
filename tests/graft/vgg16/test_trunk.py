import keras
import numpy as np
import pytest

from graft import images
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT, LAST, LAYERS, feature_shape
from graft.vgg16.trunk import Features, TensorFlowTrunk
from tests.drawing import CLASSES, jpeg
from tests.networks import keras_trunk, random_trunk


@pytest.fixture(scope="module")
def trunk() -> TensorFlowTrunk:
    return TensorFlowTrunk(random_trunk())


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.stack([images.decode(jpeg(label, 0)) for label in CLASSES])


@pytest.fixture(scope="module")
def numbers(pixels: np.ndarray) -> Features:
    return network_input(pixels, "caffe")


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
def test_two_segments_make_the_whole(trunk: TensorFlowTrunk, numbers: Features, middle: str) -> None:
    whole = trunk.run(numbers, INPUT, [LAST])[LAST]
    at_middle = trunk.run(numbers, INPUT, [middle])[middle]
    assert at_middle.shape == (len(numbers), *feature_shape(middle))
    assert close(trunk.run(at_middle, middle, [LAST])[LAST], whole)


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
        (INPUT, "block2_pool"),
    ], "the last one is compiled when somebody runs it"
    assert close(trunk.run(numbers, INPUT, [LAST])[LAST], whole)
