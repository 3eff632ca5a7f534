"""The process behind `benchmarks.raw`: a line with seconds in, a line with figures out."""

import io
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from safetensors.numpy import load_file

from benchmarks.pictures import photos
from benchmarks.raw import BATCHES, Cost, Figures
from graft.registry import MODEL, WEIGHTS, ModelCard
from graft.vgg16.devices import native_precisions
from graft.vgg16.heads import by_layer, by_parameter, head_logits
from graft.vgg16.inputs import network_input
from graft.vgg16.layers import INPUT, LAST, between, feature_shape
from graft.vgg16.trunk import forward
from graft.vgg16.weights import WeightStore

DECODE_SHARE = 4  # of a batch size's time: decoding is short


def main() -> None:
    version, weights, precision = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    print(json.dumps(native_precisions()), flush=True)
    files = photos(BATCHES[-1])
    pictures = network_input(np.stack([decode(file) for file in files]), "caffe")
    run = compiled(version, weights, precision)
    batches = {size: tf.constant(pictures[:size]) for size in BATCHES}
    for batch in batches.values():  # each size is prepared for once
        run(batch)
    for line in sys.stdin:
        forwards = {size: cost(partial(run, batch), size, float(line)) for size, batch in batches.items()}
        decoding = cost(lambda: list(map(decode, files)), len(files), float(line) / DECODE_SHARE)
        print(Figures(forwards, decoding).as_json(), flush=True)


def compiled(version: Path, weights: Path, precision: str) -> Callable[[Any], Any]:
    """Pictures (n, 224, 224, 3) float32 -> logits (n, classes): the trunk, and a version's tail and head behind it."""
    card = ModelCard.model_validate_json((version / MODEL).read_bytes())
    own = typed(load_file(version / WEIGHTS), precision)
    trunk = by_layer(typed(by_parameter(WeightStore(version, weights, "").trunk()), precision))

    def logits(pictures: Any) -> Any:
        at_cut = forward(pictures, between(INPUT, card.cut), trunk)
        return head_logits(forward(at_cut, between(card.cut, LAST), by_layer(own)), own, card.head)[0]

    signature = [tf.TensorSpec((None, *feature_shape(INPUT)), tf.float32)]
    function = tf.function(logits, input_signature=signature, autograph=False).get_concrete_function()
    return lambda pictures: function(pictures).numpy()


def typed(weights: Mapping[str, np.ndarray], precision: str) -> dict[str, np.ndarray]:
    """Kernels at that precision. NumPy arrays still, so that tracing makes constants of them."""
    return {name: array.astype(precision) if name.endswith("/kernel") else array for name, array in weights.items()}


def decode(file: bytes) -> np.ndarray:
    """Pillow alone, as `load_img` uses it."""
    with Image.open(io.BytesIO(file)) as image:
        return np.array(image.convert("RGB").resize((224, 224), Image.Resampling.NEAREST))


def cost(run: Callable[[], object], pictures: int, seconds: float) -> Cost:
    """Of one picture in runs of so many, for so many seconds and twice at least."""
    walls: list[float] = []
    used = time.process_time()
    while len(walls) < 2 or sum(walls) < seconds:
        started = time.perf_counter()
        run()
        walls.append(time.perf_counter() - started)
    return Cost(statistics.median(walls) / pictures, (time.process_time() - used) / len(walls) / pictures)


if __name__ == "__main__":
    main()
