"""Augmented pictures by Keras' layers, each a pure function of the picture and a seed.

Keras' layers count their own draws, which a resumed run could not repeat; so here the seeds come from outside.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from graft.training.recipe import Augmentation

Pixels = npt.NDArray[np.uint8]
SIZE = 224
AUGMENTATION_VERSION = 1  # raise it whenever the same seed would make other pixels: it is part of every view's key
INTERPOLATION, FILL = "bilinear", "reflect"  # as the layers have it themselves
VIEW_STREAM = 2  # keeps the draws of views apart from those of batches, streams 0 and 1


def augmented(pixels: Pixels, augmentation: Augmentation, seed: Sequence[int]) -> Pixels:
    """(224, 224, 3) uint8 RGB to a new picture of that shape: flip, rotation, shift, zoom, brightness, contrast.

    `seed`: whole numbers from 0 up. What comes in over an edge is the picture mirrored at it. Safe from many threads.
    """
    numbers = np.random.SeedSequence(list(seed)).generate_state(2, np.uint32).view(np.int32)
    picture: Pixels = _compiled(augmentation)(pixels, numbers).numpy()
    return picture


def drawn_view(seed: int, epoch: int, indices: npt.NDArray[np.int64], views: int) -> npt.NDArray[np.int64]:
    """Which of its views, from 0, each picture shows in an epoch: (batch,), whatever else is in the batch."""
    draws = np.random.default_rng([seed, VIEW_STREAM, epoch]).random(int(indices.max(initial=0)) + 1)
    return (draws[indices] * views).astype(np.int64)


class _Draws(keras.random.SeedGenerator):  # type: ignore[misc]
    """Whom Keras asks for each next seed; the answer depends on `seed` and on how many it gave before."""

    def __init__(self, seed: tf.Tensor) -> None:
        self._seed, self._given = seed, 0

    def next(self, ordered: bool = True) -> tf.Tensor:  # noqa: ARG002 - Keras' signature
        self._given += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._given)


@lru_cache(maxsize=16)
def _compiled(augmentation: Augmentation) -> Callable[[Pixels, npt.NDArray[np.int32]], tf.Tensor]:
    flips, places, colours = _flips(augmentation), _places(augmentation), _colours(augmentation)

    def vary(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        with tf.device("CPU"):  # pictures come one by one, from the threads that decode
            draws, picture = _Draws(seed), tf.cast(pixels, tf.float32)
            picture = _in_turn(flips, picture, draws)
            picture = _placed(places, picture, draws)
            picture = _in_turn(colours, picture, draws)
            return tf.cast(tf.round(picture), tf.uint8)

    signature = [tf.TensorSpec((SIZE, SIZE, 3), tf.uint8), tf.TensorSpec((2,), tf.int32)]
    return tf.function(vary, input_signature=signature, autograph=False)  # type: ignore[no-any-return]


# A seed keeps Keras from drawing one with Python's global generator; it is not used.
_COMMON: dict[str, Any] = {"seed": 0, "dtype": "float32"}


def _flips(asked: Augmentation) -> list[Any]:
    # A layer for each way: horizontal_and_vertical would be one draw for both.
    ways = ("horizontal", "vertical") if asked.flip == "both" else (asked.flip,)
    return [keras.layers.RandomFlip(way, **_COMMON) for way in ways if way != "none"]


def _places(asked: Augmentation) -> list[Any]:
    layers = keras.layers
    return [
        *([layers.RandomRotation(asked.rotation / 360, **_COMMON)] if asked.rotation else []),
        *([layers.RandomTranslation(asked.shift, asked.shift, **_COMMON)] if asked.shift else []),
        *([layers.RandomZoom(asked.zoom, **_COMMON)] if asked.zoom else []),
    ]


def _colours(asked: Augmentation) -> list[Any]:
    layers, contrast = keras.layers, (asked.contrast, asked.contrast)  # a pair: one number would only raise it
    return [
        *([layers.RandomBrightness(asked.brightness, **_COMMON)] if asked.brightness else []),
        *([layers.RandomContrast(contrast, **_COMMON)] if asked.contrast else []),
    ]


def _in_turn(layers: Sequence[Any], picture: tf.Tensor, draws: _Draws) -> tf.Tensor:
    for layer in layers:
        drawn = layer.get_random_transformation(picture, training=True, seed=draws)
        picture = layer.transform_single_image(picture, drawn, training=True)
    return picture


def _placed(layers: Sequence[Any], picture: tf.Tensor, draws: _Draws) -> tf.Tensor:
    """What the layers would do in turn, as one map: the picture is resampled (2 ms) and softened once, not thrice."""
    if not layers:
        return picture
    whole = tf.eye(3)
    for layer in layers:
        drawn = layer.get_random_transformation(picture, training=True, seed=draws)
        whole = whole @ _map(layer, drawn)
    return keras.ops.image.affine_transform(
        picture, tf.reshape(whole, [9])[:8], interpolation=INTERPOLATION, fill_mode=FILL
    )


def _map(layer: Any, drawn: dict[str, tf.Tensor]) -> tf.Tensor:
    """(3, 3): the place in the layer's input that a place (x, y, 1) of its output shows."""
    if "rotation_matrix" in drawn:
        numbers = drawn["rotation_matrix"]
    elif "translations" in drawn:
        numbers = layer._get_translation_matrix(drawn["translations"])
    else:
        zooms = tf.concat([drawn["width_zoom"], drawn["height_zoom"]], axis=1)
        numbers = layer._get_zoom_matrix(zooms, SIZE, SIZE)
    return tf.reshape(tf.concat([tf.reshape(numbers, [8]), [1.0]], axis=0), [3, 3])
