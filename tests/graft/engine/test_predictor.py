import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import pytest

from graft.database import connect, migrate
from graft.engine.answers import File, Prediction
from graft.engine.metrics import EngineMetrics
from graft.engine.predictor import Predictor
from graft.errors import CorruptVersion, MissingWeights, NotAPicture, NotFound, Unavailable
from graft.settings import Settings
from graft.stores import Stores, open_stores
from graft.training.evaluate import Outputs, evaluate
from graft.types import InputKey
from graft.vgg16.layers import Pooling
from tests.app.conftest import publish
from tests.drawing import CLASSES, jpeg
from tests.graft.engine.preparing import Watched
from tests.networks import keras_trunk

T = TypeVar("T")
PICTURES: list[File] = [("one.jpg", jpeg("discs", 1)), (None, jpeg("stripes", 2))]
# Models of three distinct inputs, two of which want the same pixels.
INPUTS = {
    "near": InputKey(),
    "raw": InputKey(preprocessing="none"),
    "smooth": InputKey(interpolation="bilinear"),
    "near2": InputKey(),
}

HOT = 2.5  # the temperature of a model that is else `near`


@pytest.fixture(scope="module")
def stores(trunk_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """A registry with the models a, b and c, which know nothing, those of INPUTS, and `hot`."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), weights_dir=trunk_file.parent)
    engine = connect(settings.sqlalchemy_url)
    migrate(engine)
    stores = open_stores(settings, engine)
    for model in ("a", "b", "c"):
        publish(stores.registry, model, 1, f"job_{model}")
    for model, key in INPUTS.items():
        publish(stores.registry, model, 1, f"job_{model}", input=key, scale=0.1)
    publish(stores.registry, "hot", 1, "job_hot", scale=0.1, temperature=HOT)
    yield stores
    engine.dispose()


@pytest.fixture(scope="module")
def seen() -> Watched:
    return Watched()


@pytest.fixture(scope="module")
def predictor(stores: Stores, seen: Watched) -> Iterator[Predictor]:
    predictor = predictor_of(stores, seen)
    predictor.start()
    yield predictor
    predictor.close()


def predictor_of(stores: Stores, metrics: EngineMetrics | None = None) -> Predictor:
    return Predictor(
        stores.registry,
        stores.weights,
        memory_bytes=10**9,
        max_pixels=10**6,
        timeout=60,
        metrics=metrics,
        precision="float32",  # at which it equals Keras, whatever the machine has
    )


def ask(answer: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(answer)


def test_an_answer_for_each_picture_in_order(predictor: Predictor) -> None:
    files = [("one.jpg", jpeg("discs", 1)), (None, jpeg("stripes", 2)), ("three.jpg", jpeg("discs", 1))]
    answer = ask(predictor.predict("a", files, top=2))
    assert (answer.model, answer.version) == ("a", 1)
    assert [entry.filename for entry in answer.entries] == ["one.jpg", None, "three.jpg"]
    assert all(len(entry.top) == 2 for entry in answer.entries)
    assert answer.entries[0].top == answer.entries[2].top


def test_weights_of_zero_find_every_class_as_likely(predictor: Predictor) -> None:
    (entry,) = ask(predictor.predict("a", [(None, jpeg("discs", 1))])).entries
    assert {guess.label for guess in entry.top} == set(CLASSES)
    assert [guess.probability for guess in entry.top] == pytest.approx([1 / 3] * 3)


def test_a_version_published_meanwhile_answers_at_once(predictor: Predictor, stores: Stores) -> None:
    assert ask(predictor.predict("c", [(None, jpeg("discs", 1))])).version == 1
    publish(stores.registry, "c", 2, "job_c2")
    assert ask(predictor.predict("c", [(None, jpeg("discs", 1))])).version == 2
    assert ask(predictor.predict("c", [(None, jpeg("discs", 1))], version=1)).version == 1


def test_what_would_answer_can_be_asked_before(predictor: Predictor) -> None:
    assert predictor.resolve("a") == predictor.resolve("a", version=1) == predictor.resolve("a", alias="stable") == 1
    with pytest.raises(NotFound):
        predictor.resolve("nobody")
    with pytest.raises(MissingWeights):
        predictor.resolve("vgg16")


def test_many_models_answer_as_each_does_alone_for_one_pass_an_input(predictor: Predictor, seen: Watched) -> None:
    alone = {model: ask(predictor.predict(model, PICTURES)) for model in INPUTS}
    before = seen.decoded_pictures, seen.pictures_in_batches
    asked = ["smooth", "near2", "raw", "near"]
    together = ask(predictor.predict_many(asked, PICTURES))
    assert (seen.decoded_pictures - before[0], seen.pictures_in_batches - before[1]) == (
        2 * len(PICTURES),
        3 * len(PICTURES),
    )
    assert [answer.model for answer in together] == asked
    for answer in together:
        assert (answer.version, len(answer.entries)) == (1, len(PICTURES))
        for mine, entry in zip(alone[answer.model].entries, answer.entries, strict=True):
            assert entry.filename == mine.filename
            assert [guess.label for guess in entry.top] == [guess.label for guess in mine.top]
            assert [guess.probability for guess in entry.top] == pytest.approx([g.probability for g in mine.top], 1e-4)
    assert together[0].entries[0].top != together[3].entries[0].top, "another input is another answer"


def test_of_many_models_each_must_be_able_to_answer(predictor: Predictor) -> None:
    with pytest.raises(NotFound, match="received 'nobody'"):
        ask(predictor.predict_many(["a", "nobody"], PICTURES))
    with pytest.raises(MissingWeights):
        ask(predictor.predict_many(["a", "vgg16"], PICTURES))


def test_embeddings_are_keras_s(predictor: Predictor, stores: Stores, real_pictures: list[Path]) -> None:
    trunk, layers = keras_trunk(stores.weights.trunk()), keras.layers
    asked: list[tuple[str, Pooling, keras.layers.Layer]] = [
        ("block3_conv2", "avg", layers.GlobalAveragePooling2D()),
        ("block4_pool", "max", layers.GlobalMaxPooling2D()),
        ("block5_conv1", "flatten", layers.Flatten()),
        ("block5_pool", "avg", layers.GlobalAveragePooling2D()),
    ]
    model = keras.Model(trunk.input, [pool(trunk.get_layer(name).output) for name, _, pool in asked])
    files = real_pictures[:2]
    loaded = [keras.utils.img_to_array(keras.utils.load_img(file, target_size=(224, 224))) for file in files]
    theirs = model.predict_on_batch(keras.applications.vgg16.preprocess_input(np.stack(loaded)))
    for (layer, pooling, _), output in zip(asked, theirs, strict=True):
        ours = ask(predictor.embed(layer, pooling, [(file.name, file.read_bytes()) for file in files]))
        assert (ours.layer, ours.pooling, ours.filenames) == (layer, pooling, tuple(file.name for file in files))
        assert (ours.vectors.shape, ours.vectors.dtype.name) == (output.shape, "float32")
        np.testing.assert_allclose(ours.vectors, output, rtol=1e-4, atol=1e-5 * output.max())


def test_a_bad_file_is_named(predictor: Predictor) -> None:
    with pytest.raises(NotAPicture, match=r"^notes\.txt: "):
        ask(predictor.predict("a", [("a.jpg", jpeg("discs", 1)), ("notes.txt", b"no picture")]))
    with pytest.raises(NotAPicture, match=r"^Picture 2 of 2: "):
        ask(predictor.predict("a", [("a.jpg", jpeg("discs", 1)), (None, b"no picture")]))
    with pytest.raises(NotAPicture, match=r"^notes\.txt: "):
        ask(predictor.embed("block5_pool", "avg", [("notes.txt", b"no picture")]))


def test_what_does_not_exist(predictor: Predictor) -> None:
    with pytest.raises(NotFound, match="received version 9"):
        ask(predictor.predict("a", [(None, jpeg("discs", 1))], version=9))
    with pytest.raises(NotFound, match="received 'canary'"):
        ask(predictor.predict("a", [(None, jpeg("discs", 1))], alias="canary"))
    with pytest.raises(NotFound, match="vgg16 is built in"):
        ask(predictor.predict("vgg16", [(None, jpeg("discs", 1))], version=2))


def test_the_stock_classifier_without_its_weights_says_how_to_bring_them(predictor: Predictor) -> None:
    assert predictor.state().classifier == "missing"
    with pytest.raises(MissingWeights, match="GRAFT_WEIGHTS_URL"):
        ask(predictor.predict("vgg16", [(None, jpeg("discs", 1))]))


def test_before_its_start_and_after_its_close_it_is_unavailable(stores: Stores) -> None:
    predictor = predictor_of(stores)
    with pytest.raises(Unavailable):
        ask(predictor.predict("a", [(None, jpeg("discs", 1))]))
    predictor.start()
    predictor.close()
    with pytest.raises(Unavailable):
        ask(predictor.predict("a", [(None, jpeg("discs", 1))]))


def test_a_version_of_another_trunk_is_not_served(predictor: Predictor, stores: Stores) -> None:
    publish(stores.registry, "other", 1, "job_other", trunk_digest="0" * 64)
    with pytest.raises(CorruptVersion, match="Train it again"):
        ask(predictor.predict("other", PICTURES))


def test_what_is_served_is_what_the_report_was_made_of(predictor: Predictor) -> None:
    """A report is of probabilities as they are served, at the model's temperature."""
    plain, hot = ask(predictor.predict_many(["near", "hot"], PICTURES, top=3))

    def served(prediction: Prediction) -> np.ndarray:
        by_index = [{guess.index: guess.probability for guess in entry.top} for entry in prediction.entries]
        return np.array([[row[i] for i in range(len(CLASSES))] for row in by_index])

    logits, shares = np.log(served(plain)).astype(np.float32), served(hot)
    assert np.abs(shares - served(plain)).max() > 0.01
    never_right = (shares.argmax(axis=1) + 1) % len(CLASSES)
    report = evaluate(Outputs(logits, never_right, ["one.jpg", "two.jpg"]), CLASSES, HOT)
    told = {each["file"]: each["probability_of_predicted"] for each in report["mistakes"]}
    assert [told["one.jpg"], told["two.jpg"]] == pytest.approx(shares.max(axis=1), rel=1e-4)
    assert report["loss"] == pytest.approx(-np.log(shares[[0, 1], never_right]).mean(), rel=1e-4)
