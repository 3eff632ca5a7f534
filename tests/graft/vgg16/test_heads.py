"""Grafts at both precisions, and on more than one device."""

import json
import subprocess
import sys

import numpy as np
import pytest

from graft.types import Precision
from graft.vgg16.heads import Graft, by_parameter, graft_function, initial_head
from graft.vgg16.layers import LAST, HeadSpec, feature_shape, tail_shapes
from tests.networks import BFLOAT16_ERROR, apart, random_trunk

PLAIN = HeadSpec("avg", (), batch_norm=False, dropout=0.0, classes=5)
DEEP = HeadSpec("flatten", (64, 32), batch_norm=True, dropout=0.5, classes=5)
Kind = tuple[str, HeadSpec]
KINDS: dict[str, Kind] = {
    "softmax": (LAST, PLAIN),
    "hidden layers": (LAST, DEEP),
    "a tail": ("block5_conv2", PLAIN),
    "a tail and hidden layers": ("block4_pool", DEEP),
}

# Two devices must be made before TensorFlow first looks for them.
ON_TWO_DEVICES = """
import json
import numpy as np
from graft.vgg16.heads import Graft, initial_head
from graft.vgg16.layers import INPUT, LAST, HeadSpec
from graft.vgg16.trunk import TensorFlowTrunk
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
rng, names = np.random.default_rng(0), ("CPU:0", "CPU:1")

spec = HeadSpec("avg", (), batch_norm=False, dropout=0.0, classes=5)
graft = Graft(LAST, spec, initial_head(spec, 0))
features = rng.normal(size=(3, 7, 7, 512)).astype(np.float32)
answers = [graft.answer(features, name).tolist() for name in names]
placed = {name: weights for name, weights in graft._placed.items()}
graft.answer(features, "CPU:1")
kept = all(graft._placed[name][i] is weight for name in names for i, weight in enumerate(placed[name]))

kernel = rng.normal(size=(3, 3, 3, 64)).astype(np.float32)
weights = {"block1_conv1": (kernel, np.zeros(64, np.float32))}
pictures = rng.normal(size=(1, 224, 224, 3)).astype(np.float32)
trunks = [TensorFlowTrunk(weights, device=name) for name in names]
outputs = [trunk.run(pictures, INPUT, ["block1_conv1"])["block1_conv1"] for trunk in trunks]
print(json.dumps({
    "devices": {name: sorted({weight.device[-5:] for weight in weights}) for name, weights in placed.items()},
    "kept": kept, "answers": answers, "outputs_apart": float(np.abs(outputs[0] - outputs[1]).max()),
}))
"""


def weights(kind: Kind) -> dict[str, np.ndarray]:
    cut, spec = kind
    tail = {name: array for name, array in by_parameter(random_trunk()).items() if name in tail_shapes(cut)}
    head = initial_head(spec, 3)
    rng = np.random.default_rng(4)
    return {**tail, **{name: array + rng.uniform(0, 0.1, array.shape).astype("f4") for name, array in head.items()}}


def features(cut: str, pictures: int) -> np.ndarray:
    drawn = np.random.default_rng(5).normal(0, 1, (pictures, *feature_shape(cut)))
    return np.maximum(drawn, 0).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_graft_at_bfloat16_is_the_same_but_for_its_rounding(kind: Kind) -> None:
    x = features(kind[0], 4)
    exact = Graft(*kind, weights(kind)).answer(x, "CPU:0")
    rounded = Graft(*kind, weights(kind), "bfloat16").answer(x, "CPU:0")
    assert rounded.shape == (4, 5)
    assert rounded.dtype == np.float32
    assert apart(rounded, exact) < BFLOAT16_ERROR


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", BFLOAT16_ERROR)])
def test_a_batch_is_its_pictures_one_by_one(kind: Kind, precision: Precision, tolerance: float) -> None:
    graft, x = Graft(*kind, weights(kind), precision), features(kind[0], 3)
    alone = [graft.answer(x[i : i + 1], "CPU:0") for i in range(len(x))]
    assert apart(graft.answer(x, "CPU:0"), np.concatenate(alone)) < tolerance


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_kernels_take_half_the_room_but_for_the_last(kind: Kind) -> None:
    held = weights(kind)
    kernels = sum(a.nbytes for name, a in held.items() if name.endswith("kernel") and name != "predictions/kernel")
    exact, rounded = Graft(*kind, held), Graft(*kind, held, "bfloat16")
    assert exact.nbytes == sum(array.nbytes for array in held.values())
    assert rounded.nbytes == exact.nbytes - kernels // 2


def test_each_precision_has_a_function_of_its_own() -> None:
    assert graft_function(LAST, DEEP, "float32")[0] is not graft_function(LAST, DEEP, "bfloat16")[0]
    assert graft_function(LAST, DEEP, "bfloat16")[0] is graft_function(LAST, DEEP, "bfloat16")[0]


def test_a_batch_that_is_filled_up_is_cut_again() -> None:
    """TensorFlow runs what is meant for a GPU on the processor where there is none."""
    kind = KINDS["a tail"]
    graft, x = Graft(*kind, weights(kind)), features(kind[0], 3)
    assert apart(graft.answer(x, "GPU:0"), graft.answer(x, "CPU:0")) < 2e-3


def test_weights_are_brought_to_each_device_once() -> None:
    done = subprocess.run([sys.executable, "-c", ON_TWO_DEVICES], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["devices"] == {"CPU:0": ["CPU:0"], "CPU:1": ["CPU:1"]}
    assert found["kept"]
    np.testing.assert_allclose(found["answers"][0], found["answers"][1], rtol=1e-5)
    assert found["outputs_apart"] == 0
