from dataclasses import replace

import numpy as np
import pytest

from graft.training.features import FeatureKind, View, worth_keeping
from graft.training.recipe import Augmentation
from graft.types import InputKey
from graft.vgg16.layers import LAYERS
from tests.graft.training.features.pictures import KIND

FLIP = Augmentation(flip="horizontal", views=4)
VIEW = replace(KIND, view=View(FLIP, 7, 0))


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (KIND, replace(KIND, input=InputKey(preprocessing="caffe"))),
        (KIND, replace(KIND, input=InputKey(preprocessing="none", interpolation="bilinear"))),
        (KIND, replace(KIND, input=InputKey(preprocessing="none", precision="bfloat16"))),
        (KIND, replace(KIND, input=InputKey(preprocessing="none", pixels=2))),
        (KIND, replace(KIND, trunk_digest="0000")),
        (KIND, replace(KIND, cut="block4_pool")),
        (KIND, replace(KIND, pooling="max")),
        (KIND, replace(KIND, pooling=None)),
        (KIND, VIEW),
        (VIEW, replace(KIND, view=View(FLIP, 7, 1))),
        (VIEW, replace(KIND, view=View(FLIP, 8, 0))),
        (VIEW, replace(KIND, view=View(FLIP.model_copy(update={"zoom": 0.1}), 7, 0))),
    ],
)
def test_whatever_decides_the_features_is_in_the_key(kind: FeatureKind, other: FeatureKind) -> None:
    assert kind.key() != other.key()


def test_more_views_are_no_other_views() -> None:
    assert replace(KIND, view=View(FLIP.model_copy(update={"views": 9}), 7, 0)).key() == VIEW.key()


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("bfloat16", 2)])
def test_a_number_takes_as_many_bytes_as_the_trunk_computes_with(precision: str, size: int) -> None:
    kind = replace(KIND, input=InputKey(precision=precision), cut="block4_pool", pooling=None)  # type: ignore[arg-type]
    assert (kind.shape, kind.row_bytes) == ((14, 14, 512), 14 * 14 * 512 * size)


def test_features_are_rounded_to_their_two_bytes_and_pictures_are_not() -> None:
    kind = replace(KIND, input=InputKey(precision="bfloat16"))
    output = np.full((1, 7, 7, 512), 1 + 2**-9, np.float32)
    assert np.asarray(kind.rows(output), np.float32).tolist() == [[1.0] * 512]
    picture = replace(kind, cut="input", pooling=None)
    assert picture.rows(output) is output


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_kept_is_what_is_small_for_the_work_in_it(precision: str) -> None:
    def worth(cut: str, pooling: str | None) -> bool:
        return worth_keeping(FeatureKind(InputKey(precision=precision), "d9a2", cut, pooling))  # type: ignore[arg-type]

    not_kept = [layer.name for layer in LAYERS if not worth(layer.name, None)]
    assert not_kept == ["input", "block1_conv1", "block1_conv2", "block1_pool", "block2_conv1", "block2_conv2"]
    assert all(worth(layer.name, "avg") for layer in LAYERS[1:])
