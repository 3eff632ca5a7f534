import keras
import pytest

from graft.errors import InvalidFields
from graft.vgg16 import layers
from graft.vgg16.layers import IMAGENET_HEAD, INPUT, LAST, LAYERS, HeadSpec, head_shapes, tail_shapes


@pytest.fixture(scope="module")
def keras_vgg16() -> keras.Model:
    return keras.applications.VGG16(weights=None, include_top=True)


def test_the_chain_is_keras_s(keras_vgg16: keras.Model) -> None:
    theirs = keras_vgg16.layers[1 : len(LAYERS)]  # Keras numbers the name of its input layer
    assert [layer.name for layer in LAYERS] == [INPUT, *(layer.name for layer in theirs)]
    assert [layers.feature_shape(layer.name) for layer in LAYERS[1:]] == [layer.output.shape[1:] for layer in theirs]


def test_parameter_shapes_are_keras_s(keras_vgg16: keras.Model) -> None:
    theirs = [tuple(weight.shape) for weight in keras_vgg16.weights]
    assert [*tail_shapes(INPUT).values(), *head_shapes(IMAGENET_HEAD).values()] == theirs


def test_between_leaves_out_the_start_and_takes_in_the_end() -> None:
    assert [layer.name for layer in layers.between("block5_conv2", LAST)] == ["block5_conv3", LAST]
    assert layers.between(LAST, LAST) == ()


def test_a_head_with_batch_norm_has_its_statistics() -> None:
    spec = HeadSpec("avg", (64,), batch_norm=True, dropout=0.5, classes=3)
    assert head_shapes(spec) == {
        "dense_1/kernel": (512, 64),
        "dense_1/bias": (64,),
        "batch_norm_1/gamma": (64,),
        "batch_norm_1/beta": (64,),
        "batch_norm_1/moving_mean": (64,),
        "batch_norm_1/moving_variance": (64,),
        "predictions/kernel": (64, 3),
        "predictions/bias": (3,),
    }


def test_an_unknown_layer_is_refused_by_name() -> None:
    with pytest.raises(InvalidFields, match=r"cut must be one of input, .*; received 'block6_pool'\."):
        layers.position("block6_pool")


def test_multiply_adds_are_those_of_the_paper() -> None:
    """15.3 thousand million of the convolutions and 124 million of the dense layers; 9 % of them in block 5."""
    trunk = layers.multiply_adds(INPUT, LAST)
    assert trunk == 15_346_630_656
    assert layers.multiply_adds("block4_pool", LAST) / trunk == pytest.approx(0.09, abs=0.001)
    assert layers.multiply_adds(LAST, LAST) == 0
    assert layers.head_multiply_adds(IMAGENET_HEAD) == 123_633_664
