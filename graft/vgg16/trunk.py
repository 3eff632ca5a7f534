"""The trunk as something that runs: from any layer to any later one, compiled by segment."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from graft.types import Precision
from graft.vgg16.devices import filled
from graft.vgg16.layers import INPUT, Layer, between, feature_shape, position
from graft.vgg16.weights import TrunkWeights

Features = npt.NDArray[np.float32]
Segment = Callable[[Any], Any]  # features at its start -> features at its end


class TrunkRunner(Protocol):
    """Whatever runs the frozen trunk. Serving, features and the plan do not know which one it is."""

    @property
    def device(self) -> str: ...

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        """Outputs at each of `cuts` for (n, height, width, channels) features at `start`, every layer run once.

        At `input` the features are what `inputs.network_input` makes. A cut before `start` is an error.
        """


def forward(x: Any, chain: Sequence[Layer], weights: Mapping[str, tuple[Any, Any]]) -> Any:
    """Run a part of the chain in the graph being built, at the precision of the kernels.

    Weights by layer name: arrays (then constants) or variables.
    """
    for at in chain:
        if at.kind == "convolution":
            kernel, bias = weights[at.name]
            x = tf.nn.conv2d(tf.cast(x, kernel.dtype), kernel, strides=1, padding="SAME")
            x = tf.nn.relu(tf.nn.bias_add(x, tf.cast(bias, x.dtype)))
        else:
            x = tf.nn.max_pool2d(x, ksize=2, strides=2, padding="VALID")
    return x


class TensorFlowTrunk:
    """The reference runner: a compiled function for each segment between neighbouring cuts in use, weights constant.

    A cut that comes into use splits its segment in two; splitting costs no time in a run, and no layer is held twice.
    At bfloat16 the features stay bfloat16 between segments, and are float32 again where they leave. Safe to call from
    several threads; a segment is compiled once, when it is first run, and holds up none that are there already.
    """

    def __init__(self, weights: TrunkWeights, precision: Precision = "float32", device: str = "CPU:0") -> None:
        self.precision = precision
        self.device = device
        self._weights = {
            name: (kernel.astype(precision, copy=False), bias.astype(precision, copy=False))
            for name, (kernel, bias) in weights.items()
        }
        self._segments: Mapping[tuple[str, str], Segment] = {}  # by their ends; replaced, never changed
        self._compiling = threading.Lock()

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        outputs = {start: pictures} if start in cuts else {}
        with tf.device(self.device):
            x: Any = tf.cast(filled(pictures, self.device), self._entering(start))
            for end, segment in self._path(start, cuts):
                x = segment(x)
                if end in cuts:
                    outputs[end] = np.asarray(tf.cast(x, tf.float32))[: len(pictures)]
        return outputs

    def _entering(self, start: str) -> Precision:
        """What a segment takes. Pictures are cast inside the first one."""
        return "float32" if start == INPUT else self.precision

    def _path(self, start: str, cuts: Collection[str]) -> list[tuple[str, Segment]]:
        """The segments from `start` to the deepest cut, each with the cut that it ends at."""
        last = max(cuts, key=position)
        if min(map(position, cuts)) < position(start):
            raise ValueError(f"cuts must not come before {start}; received {', '.join(cuts)}.")
        wanted = {start, *cuts}
        while True:
            segments = self._segments
            in_use = sorted({*chain.from_iterable(segments), *wanted}, key=position)
            stops = in_use[in_use.index(start) : in_use.index(last) + 1]
            if all(ends in segments for ends in pairwise(stops)):
                return [(end, segments[begin, end]) for begin, end in pairwise(stops)]
            self._split(in_use, start, last)

    def _split(self, in_use: Sequence[str], start: str, last: str) -> None:
        """Compile what is missing between these cuts, while others run what there is; then change over at once.

        A segment with a new cut inside is replaced by its parts.
        """
        with self._compiling:
            held = self._segments
            reached = [(start, last), *held]
            self._segments = {
                (begin, end): held.get((begin, end)) or self._compile(begin, end)
                for begin, end in pairwise(sorted({*in_use, *chain.from_iterable(held)}, key=position))
                if any(position(a) <= position(begin) and position(end) <= position(b) for a, b in reached)
            }

    def _compile(self, start: str, end: str) -> Segment:
        layers = between(start, end)
        # NumPy arrays used while tracing become constants of the graph; tensors or variables would be captured
        # as inputs, and the compiler could neither fold nor pre-pack them (69 against 77 ms a picture).
        signature = [tf.TensorSpec((None, *feature_shape(start)), self._entering(start))]
        function = tf.function(lambda x: forward(x, layers, self._weights), input_signature=signature, autograph=False)
        segment: Segment = function.get_concrete_function()
        segment(tf.zeros((1, *feature_shape(start)), self._entering(start)))  # optimized, and the weights laid out
        return segment
