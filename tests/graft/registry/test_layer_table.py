"""The table of layers against Keras' own summary of the same network."""

import keras
import pytest

from graft.registry import frozen, layer_table
from graft.vgg16.layers import IMAGENET_HEAD, INPUT, LAST, HeadSpec

HEAD = HeadSpec(pooling="flatten", hidden_units=(64, 32), batch_norm=True, dropout=0.5, classes=10)


def test_vgg16_is_what_keras_says_it_is() -> None:
    model = keras.applications.VGG16(weights=None)
    ours = [(row.name, row.shape, row.parameters) for row in layer_table(LAST, IMAGENET_HEAD)]
    names = {"input_layer": "input", "fc1": "dense_1", "fc2": "dense_2"}
    theirs = [
        (names.get(layer.name, layer.name), tuple(layer.output.shape[1:]), layer.count_params())
        for layer in model.layers
    ]
    assert ours[0][1:] == theirs[0][1:]
    assert ours[1:] == theirs[1:]


def test_every_layer_of_a_head() -> None:
    rows = [row for row in layer_table(LAST, HEAD) if row.part == "head"]
    assert [(row.name, row.shape, row.parameters, row.trainable) for row in rows] == [
        ("flatten", (25088,), 0, False),
        ("dense_1", (64,), 25088 * 64 + 64, True),
        ("batch_norm_1", (64,), 4 * 64, True),
        ("dropout_1", (64,), 0, False),
        ("dense_2", (32,), 64 * 32 + 32, True),
        ("batch_norm_2", (32,), 4 * 32, True),
        ("dropout_2", (32,), 0, False),
        ("predictions", (10,), 32 * 10 + 10, True),
    ]


@pytest.mark.parametrize(("cut", "convolutions"), [(LAST, 0), ("block4_pool", 3), ("block5_conv2", 1), (INPUT, 13)])
def test_what_comes_after_the_cut_is_the_model_s_own(cut: str, convolutions: int) -> None:
    table = layer_table(cut, HEAD)
    assert sum(row.part == "tail" and row.trainable for row in table) == convolutions
    assert not any(row.trainable for row in table if row.part == "trunk")
    assert [row.name for row in table] == [row.name for row in layer_table(LAST, HEAD)]


def test_a_network_that_nobody_trains() -> None:
    table = layer_table(LAST, IMAGENET_HEAD)
    assert not any(row.trainable for row in frozen(table))
    assert [row.parameters for row in frozen(table)] == [row.parameters for row in table]
