"""POST /models/{model}/predict: what bodies are taken, and what each refusal says."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from app.predicts import Predicts
from app.warmup import Warmup
from tests.app.conftest import BrightnessPredictor, Client, StartClient, check_problem
from tests.drawing import encode, jpeg

PREDICT = "/api/v1/models/vgg16/predict"
FORM = "application/x-www-form-urlencoded"  # what curl's --data-binary says of everything


def flat(colour: str, format: str = "PNG") -> bytes:
    return encode(Image.new("RGB", (32, 32), colour), format)


@pytest.mark.parametrize("content_type", [None, "image/png", "application/octet-stream", FORM, "application/json"])
def test_a_raw_picture_is_told_by_its_bytes(client: Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = client.post(PREDICT, content=flat("#ff0000"), headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {
        "model": "vgg16",
        "version": 1,
        "predictions": [
            {
                "filename": None,
                "top": [
                    {"label": "red", "index": 0, "probability": 1.0, "wnid": "n1"},
                    {"label": "blue", "index": 2, "probability": 0.0, "wnid": "n3"},
                    {"label": "green", "index": 1, "probability": 0.0, "wnid": "n2"},
                ],
            }
        ],
    }


def test_every_file_part_is_answered_in_order_under_its_name(client: Client) -> None:
    files = [("file", ("rot.png", flat("#ff0000"))), ("file", ("grün ü.jpg", flat("#00ff00", "JPEG")))]
    predictions = client.post(PREDICT, files=files).json()["predictions"]
    assert [(p["filename"], p["top"][0]["label"]) for p in predictions] == [("rot.png", "red"), ("grün ü.jpg", "green")]


def test_top_says_how_many_labels(client: Client) -> None:
    answer = client.post(PREDICT, content=flat("#0000ff"), params={"top": 1})
    assert [guess["label"] for guess in answer.json()["predictions"][0]["top"]] == ["blue"]


@pytest.mark.parametrize("top", ["0", "-1", "1001", "many"])
def test_top_out_of_range(client: Client, top: str) -> None:
    check_problem(client.post(PREDICT, content=flat("#0000ff"), params={"top": top}), 422, "top", top)


def test_a_trained_model_answers_by_version_and_by_alias_without_a_wnid(client: Client) -> None:
    client.publish("signs")
    client.publish("signs")
    for path, version in (
        ("/models/signs/predict", 2),
        ("/models/signs/versions/1/predict", 1),
        ("/models/signs/aliases/stable/predict", 2),
    ):
        answer = client.post(f"/api/v1{path}", content=flat("#ff0000")).json()
        assert answer["version"] == version
        assert set(answer["predictions"][0]["top"][0]) == {"label", "index", "probability"}


@pytest.mark.parametrize("path", ["nobody/predict", "signs/versions/9/predict", "signs/aliases/canary/predict"])
def test_what_does_not_exist(client: Client, path: str) -> None:
    client.publish("signs")
    check_problem(client.post(f"/api/v1/models/{path}", content=flat("#ff0000")), 404, "must")


def test_no_body_is_read_for_what_cannot_answer(client: Client) -> None:
    client.publish("signs")
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(b"x")
        yield b"x"

    for path in ("nobody/predict", "signs/versions/9/predict", "signs/aliases/canary/predict"):
        check_problem(client.post(f"/api/v1/models/{path}", content=body()), 404)
    loading: Warmup[Predicts] = Warmup(lambda: BrightnessPredictor(client.services.registry))  # never begun
    client.app.state.services = replace(client.services, engine=loading)
    check_problem(client.post(PREDICT, content=body()), 503, "loading")
    assert read == []


def test_a_text_file_is_no_picture(client: Client) -> None:
    check_problem(client.post(PREDICT, content=b"Dear Sir or Madam"), 415, "JPEG")
    check_problem(client.post(PREDICT, files={"file": ("letter.jpg", b"Dear Sir or Madam")}), 415, "JPEG")


def test_json_is_refused_with_what_is_taken_instead(client: Client) -> None:
    instances = {"instances": [{"b64": base64.b64encode(flat("#ff0000")).decode()}]}
    check_problem(client.post(PREDICT, json=instances), 415, "JSON", "file")


def test_an_empty_body(client: Client) -> None:
    check_problem(client.post(PREDICT), 400, "empty")
    check_problem(client.post(PREDICT, files={"file": ("a.jpg", b"")}), 400, "empty", "a.jpg")


def test_a_form_without_a_file_or_with_another_field(client: Client) -> None:
    empty = b"--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    check_problem(client.post(PREDICT, content=empty, headers=headers), 400, "named file")
    check_problem(client.post(PREDICT, files={"image": ("a.jpg", jpeg("discs", 1))}), 422, "file", "image")


@pytest.mark.parametrize(
    ("content_type", "body", "word"),
    [
        ("multipart/form-data", b"--x--\r\n", "boundary"),
        ("multipart/form-data; boundary=x", b"no boundary at all", "well-formed"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nab', "cut off"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: image/png\r\n\r\nab\r\n--x--\r\n", "name"),
    ],
)
def test_a_malformed_form(client: Client, content_type: str, body: bytes, word: str) -> None:
    check_problem(client.post(PREDICT, content=body, headers={"Content-Type": content_type}), 400, word)


def test_limits_of_one_request(start: StartClient) -> None:
    client = start(predict_body_bytes=10_000, predict_pictures=2)
    check_problem(client.post(PREDICT, content=b"x" * 10_001), 413, "10000", "10001")

    async def unannounced() -> object:
        for _ in range(3):
            yield b"x" * 5_000

    check_problem(client.post(PREDICT, content=unannounced()), 413, "10000")
    three = [("file", (f"{i}.png", flat("#ff0000"))) for i in range(3)]
    check_problem(client.post(PREDICT, files=three), 413, "2 pictures")
    assert client.post(PREDICT, files=three[:2]).status_code == 200


def test_without_the_classifier_vgg16_says_how_to_supply_it(start: StartClient) -> None:
    client = start(classifier=False)
    problem = check_problem(answer := client.post(PREDICT, content=flat("#ff0000")), 503, "GRAFT_WEIGHTS_DIR")
    assert problem["type"] == "urn:graft:error:missing-weights"
    assert int(answer.headers["Retry-After"]) > 0
    client.publish("signs")
    assert client.post("/api/v1/models/signs/predict", content=flat("#ff0000")).status_code == 200


def test_a_cut_off_picture_names_its_file(client: Client) -> None:
    whole = BytesIO(jpeg("discs", 1)).getvalue()
    check_problem(client.post(PREDICT, content=whole[: len(whole) // 2]), 415)
