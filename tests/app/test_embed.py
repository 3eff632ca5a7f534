"""POST /embed: which numbers come back, and in which form."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest

from app.routes.embed import NPY, NUMBERS
from graft.vgg16.layers import LAYERS, pooled_width
from tests.app.conftest import Client, check_problem
from tests.app.test_predict import b64, flat

EMBED = "/api/v1/embed"


def loaded(content: bytes) -> np.ndarray:
    array: np.ndarray = np.load(BytesIO(content), allow_pickle=False)
    return array


def test_the_trunk_s_last_layer_averaged_is_what_one_gets_unasked(client: Client) -> None:
    answer = client.post(EMBED, files=[("file", ("a.png", flat("#ff0000"))), ("file", ("b.png", flat("#0000ff")))])
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert {name: told[name] for name in ("layer", "pooling", "shape")} == {
        "layer": "block5_pool",
        "pooling": "avg",
        "shape": [2, 512],
    }
    assert [(each["filename"], each["embedding"][:3]) for each in told["embeddings"]] == [
        ("a.png", [255, 0, 0]),
        ("b.png", [0, 0, 255]),
    ]
    assert all(len(each["embedding"]) == 512 for each in told["embeddings"])


def test_curl_s_upload_option_says_put(client: Client) -> None:
    body = flat("#ff0000")
    assert client.request("PUT", EMBED, content=body).json() == client.post(EMBED, content=body).json()


@pytest.mark.parametrize(
    "options",
    [
        {"content": flat("#ff0000")},
        {"content": flat("#ff0000"), "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"json": {"instances": [{"b64": b64(flat("#ff0000"))}]}},
    ],
)
def test_every_form_of_body(client: Client, options: dict[str, Any]) -> None:
    (embedding,) = client.post(EMBED, **options).json()["embeddings"]
    assert embedding["filename"] is None
    assert embedding["embedding"][:3] == [255, 0, 0]


@pytest.mark.parametrize(
    ("layer", "pooling", "width"),
    [("block1_conv1", "max", 64), ("block5_conv2", "avg", 512), ("block5_pool", "flatten", 7 * 7 * 512)],
)
def test_a_numpy_file_has_the_same_numbers(client: Client, layer: str, pooling: str, width: int) -> None:
    asked = {"layer": layer, "pooling": pooling}
    answer = client.post(EMBED, content=flat("#336699"), params=asked, headers={"Accept": NPY})
    assert answer.headers["content-type"] == NPY
    array = loaded(answer.content)
    assert (array.shape, array.dtype.str) == ((1, width), "<f4")
    told = client.post(EMBED, content=flat("#336699"), params=asked).json()
    assert (told["layer"], told["pooling"], told["shape"]) == (layer, pooling, [1, width])
    np.testing.assert_array_equal(array, np.array([each["embedding"] for each in told["embeddings"]], np.float32))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"layer": "input"}, ["layer must be one of block1_conv1", "'input'"]),
        ({"layer": "fc1"}, ["layer must be one of", "'fc1'"]),
        ({"pooling": "sum"}, ["pooling", "'sum'"]),
        ({"top": 5}, ["layer, pooling", "top"]),
    ],
)
def test_what_is_not_known(client: Client, params: dict[str, Any], words: list[str]) -> None:
    check_problem(client.post(EMBED, content=flat("#ff0000"), params=params), 422, *words)


def test_the_answer_has_a_limit_by_its_form(client: Client) -> None:
    whole = {"layer": "block1_conv1", "pooling": "flatten"}
    numbers = 224 * 224 * 64
    check_problem(client.post(EMBED, content=flat("#ff0000"), params=whole), 413, "1,048,576", f"{numbers:,}", NPY)
    answer = client.post(EMBED, content=flat("#ff0000"), params=whole, headers={"Accept": NPY})
    assert loaded(answer.content).shape == (1, numbers)
    two = [("file", (name, flat("#ff0000"))) for name in ("a.png", "b.png")]
    check_problem(client.post(EMBED, files=two, params=whole, headers={"Accept": NPY}), 413, "4,194,304")


def test_any_layer_can_be_had_for_one_picture() -> None:
    assert max(pooled_width("flatten", layer.name) for layer in LAYERS) <= NUMBERS[NPY]


def test_bodies_without_a_picture(client: Client) -> None:
    check_problem(client.post(EMBED), 400, "empty")
    check_problem(client.post(EMBED, content=b"Dear Sir or Madam"), 415, "JPEG")
    check_problem(client.post(EMBED, json={"instances": []}), 422, "instances")
