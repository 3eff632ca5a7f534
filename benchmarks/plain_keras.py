"""The textbook's code in plain Keras, in a process of its own: VGG16 with frozen layers inside, `fit` over pictures.

    python -m benchmarks.plain_keras WEIGHTS PICTURES ORDER

ORDER is a JSON object of the fields of `Order`. Chapter 6 of 'Deep Learning for Vision Systems', with every picture in
every epoch, and batches, rates and seed as they are asked. With `steps`, that many training and validation steps are
timed after two that are not, and one line of JSON says seconds a picture; with `epochs`, it trains and says accuracies.
Nothing of Graft is imported, and the environment is as it is found.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

WARM_UP = 2  # steps: the first ones trace and lay out
VALIDATION_STEPS = 4  # at most: each is a forward of the whole network

Project = Literal["feature-extraction", "fine-tuning"]


@dataclass(frozen=True)
class Order:
    """What is asked of it. precision: float32, or bfloat16 by Keras' mixed policy. Either steps or epochs is given."""

    project: Project
    precision: Literal["float32", "bfloat16"]
    batch_size: int
    learning_rate: float = 1e-4
    seed: int = 0
    steps: int | None = None
    epochs: int | None = None


def main(weights: str, pictures: Path, order: Order) -> None:
    import keras

    if order.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    keras.utils.set_random_seed(order.seed)
    model = PROJECTS[order.project](weights, len(list((pictures / "train").iterdir())))
    model.compile(
        keras.optimizers.Adam(order.learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    splits = {split: batches(pictures / split, order, shuffle=split == "train") for split in ("train", "valid", "test")}
    found = timed(model, splits, order.steps) if order.steps else trained(model, splits, order.epochs or 1)
    print(json.dumps(found), flush=True)


def feature_extraction(weights: str, classes: int) -> Any:
    import keras
    from keras import layers

    base = keras.applications.VGG16(include_top=False, weights=weights, input_shape=(224, 224, 3))
    for layer in base.layers:
        layer.trainable = False
    x = layers.Flatten()(base.output)
    x = layers.Dense(64, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(base.input, layers.Dense(classes, activation="softmax", dtype="float32")(x))


def fine_tuning(weights: str, classes: int) -> Any:
    import keras
    from keras import layers

    base = keras.applications.VGG16(include_top=False, weights=weights, input_shape=(224, 224, 3), pooling="avg")
    for layer in base.layers[:-5]:  # what is left to train are the three convolutions of block 5
        layer.trainable = False
    return keras.Model(base.input, layers.Dense(classes, activation="softmax", dtype="float32")(base.output))


PROJECTS = {"feature-extraction": feature_extraction, "fine-tuning": fine_tuning}


def batches(folder: Path, order: Order, *, shuffle: bool) -> Any:
    import keras

    found = keras.utils.image_dataset_from_directory(
        folder,
        image_size=(224, 224),
        interpolation="nearest",
        batch_size=order.batch_size,
        shuffle=shuffle,
        seed=order.seed,
        verbose=False,
    )
    if order.project == "fine-tuning":  # the textbook has it learn from 0 to 255
        return found
    prepared = keras.applications.vgg16.preprocess_input
    return found.map(lambda x, y: (prepared(x), y)).prefetch(2)


def timed(model: Any, splits: dict[str, Any], steps: int) -> dict[str, list[float]]:
    """Seconds a picture, of training and of validation: by the clock, and of all threads on a processor."""
    import keras

    stamps: dict[str, list[tuple[float, float]]] = {"train": [], "valid": []}

    def stamp(split: str) -> None:
        stamps[split].append((time.perf_counter(), time.process_time()))

    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: stamp("train"),
        on_test_batch_end=lambda *_, **__: stamp("valid"),
    )
    batch = next(iter(splits["train"]))[0].shape[0]
    counts = {"train": steps, "valid": min(steps, VALIDATION_STEPS)}
    training, validation = (splits[split].take(WARM_UP + count) for split, count in counts.items())
    model.fit(training, validation_data=validation, epochs=1, callbacks=[watch], verbose=0)
    found = {}
    for split, count in counts.items():
        first, last = stamps[split][WARM_UP - 1 :: count]
        found[split] = [(end - start) / count / batch for start, end in zip(first, last, strict=True)]
    return found


def trained(model: Any, splits: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Accuracies by split after so many epochs, of the last one's weights."""
    began = time.perf_counter()
    model.fit(splits["train"], validation_data=splits["valid"], epochs=epochs, verbose=0)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, **{split: model.evaluate(splits[split], verbose=0)[1] for split in ("valid", "test")}}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Order(**json.loads(sys.argv[3])))
