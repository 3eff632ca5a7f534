"""POST /models/{model}/predict: what bodies are taken, and what each refusal says."""

import base64
import json
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from tests.app.conftest import Client, StartClient, check_problem
from tests.drawing import encode, jpeg

PREDICT = "/api/v1/models/vgg16/predict"
MANY = "/api/v1/predict"
FORM = "application/x-www-form-urlencoded"  # what curl's --data-binary says of everything


def flat(colour: str, format: str = "PNG") -> bytes:
    return encode(Image.new("RGB", (32, 32), colour), format)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


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


@pytest.mark.parametrize("path", ["", "/models/signs", "/models/signs/versions/1", "/models/signs/aliases/stable"])
def test_curl_s_upload_option_says_put(client: Client, path: str) -> None:
    client.publish("signs")
    body, params = flat("#ff0000"), {"top": 2} if path else {"models": "signs,vgg16"}
    posted, put = (client.request(m, f"/api/v1{path}/predict", content=body, params=params) for m in ("POST", "PUT"))
    assert posted.status_code == put.status_code == 200
    assert posted.json() == put.json()


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


def test_a_text_file_is_no_picture(client: Client) -> None:
    check_problem(client.post(PREDICT, content=b"Dear Sir or Madam"), 415, "JPEG")
    check_problem(client.post(PREDICT, files={"file": ("letter.jpg", b"Dear Sir or Madam")}), 415, "JPEG")


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "image/png", FORM])
def test_json_holds_pictures_as_base64_whatever_it_is_called(client: Client, content_type: str | None) -> None:
    red, blue = b64(flat("#ff0000")), b64(flat("#0000ff", "JPEG"))
    body = {"instances": [{"b64": red, "filename": "rot ü.png"}, {"b64": "data:image/jpeg;base64," + blue}]}
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = client.post(PREDICT, content="\n " + json.dumps(body), headers=headers)
    assert answer.status_code == 200, answer.text
    assert [(p["filename"], p["top"][0]["label"]) for p in answer.json()["predictions"]] == [
        ("rot ü.png", "red"),
        (None, "blue"),
    ]


def test_thirty_two_pictures_with_the_longest_names_in_the_worst_of_signs(client: Client) -> None:
    instance = {"b64": "data:image/png;base64," + b64(flat("#00ff00")), "filename": "[{," * 66 + "[{"}
    answer = client.post(PREDICT, json={"instances": [instance] * 32})
    assert {entry["filename"] for entry in answer.json()["predictions"]} == {instance["filename"]}
    assert len(answer.json()["predictions"]) == 32


def test_base64_may_have_line_breaks_as_mime_has_it(client: Client) -> None:
    wrapped = base64.encodebytes(flat("#00ff00")).decode()
    assert "\n" in wrapped.strip()
    answer = client.post(PREDICT, json={"instances": [{"b64": wrapped}]})
    assert answer.json()["predictions"][0]["top"][0]["label"] == "green"


GOOD = {"b64": b64(flat("#ff0000"))}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, ["instances is required"]),
        ({"instances": []}, 422, ["instances", "at least 1"]),
        ({"instances": GOOD}, 422, ["instances", "list"]),
        ({"instances": [GOOD], "top": 3}, 422, ["top is no field"]),
        ({"instances": [GOOD, {**GOOD, "name": "a"}]}, 422, ["instances.1.name is no field"]),
        ({"instances": [GOOD, {}]}, 422, ["instances.1.b64 is required"]),
        ({"instances": [GOOD["b64"]]}, 422, ["instances.0", "must be a JSON object"]),
        ({"instances": [{"b64": 5}]}, 422, ["instances.0.b64", "string"]),
        ({"instances": [{**GOOD, "filename": ""}]}, 422, ["instances.0.filename", "1 to 200"]),
        ({"instances": [GOOD, GOOD, {"b64": "###"}]}, 422, ["instances.2.b64 must be base64", "'###'"]),
        ({"instances": [GOOD, {"b64": "QUI"}]}, 422, ["instances.1.b64 must be base64", "pad"]),
        ({"instances": [{"b64": "grün"}]}, 422, ["instances.0.b64 must be base64", "grün"]),
        ({"instances": [{"b64": "data:image/png," + GOOD["b64"]}]}, 422, ["instances.0.b64 must be base64", "data:"]),
        ({"instances": [GOOD, {"b64": ""}]}, 422, ["instances.1.b64 must not be empty"]),
        ({"instances": [GOOD, {"b64": "data:image/png;base64,"}]}, 422, ["instances.1.b64 must not be empty"]),
        ({"instances": [{"b64": b64(b"Dear Sir")}]}, 415, ["JPEG"]),
        ({"instances": [GOOD] * 33}, 413, ["32 pictures"]),
        ([GOOD], 422, ["JSON object", "instances"]),
        ("dog.jpg", 422, ["JSON object", "dog.jpg"]),
    ],
)
def test_json_that_is_not_as_it_should_be(client: Client, body: Any, status: int, words: list[str]) -> None:
    check_problem(client.post(PREDICT, json=body), status, *words)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"{", 400, "must be JSON"),
        (b'{"instances": [NaN]}', 400, "must be JSON"),
        (b'{"instances": [{"b64": "' + GOOD["b64"].encode()[:76] + b'\n"}]}', 400, "base64 -w 0"),
        (b'{"instances": [' + b"[" * 5_000, 400, "must be JSON"),
        (b'{"instances": [{"b64": "\\ud800"}]}', 400, "must be JSON"),
        (b'{"instances": [' + b"{}," * 10_000 + b"{}]}", 413, "32 pictures"),
        (b"[" + b"0," * 10_000 + b"0]", 413, "32 pictures"),
        (b'{"instances": [' + (b"[" * 150 + b"]" * 150 + b",") * 100 + b"0]}", 413, "32 pictures"),
    ],
)
def test_json_that_cannot_be_read(client: Client, body: bytes, status: int, word: str) -> None:
    headers = {"Content-Type": "application/json"}
    check_problem(client.post(PREDICT, content=body, headers=headers), status, word)


def test_a_refusal_does_not_repeat_megabytes(client: Client) -> None:
    body = {"instances": [GOOD], **{f"{i}{'x' * 10_000}": 0 for i in range(100)}}
    problem = check_problem(client.post(PREDICT, json=body), 422, "is no field")
    assert len(problem["detail"]) < 5000


def test_what_curl_makes_of_a_file_that_was_meant_otherwise(client: Client) -> None:
    """-d @FILE takes line ends and NULs out of it; -F file=FILE sends its name."""
    headers = {"Content-Type": FORM}
    for kind in ("PNG", "JPEG"):
        stripped = flat("#ff0000", kind).translate(None, b"\0\r\n")
        check_problem(client.post(PREDICT, content=stripped, headers=headers), 415, "--data-binary @FILE")
    name = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ndog.jpg\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    check_problem(client.post(PREDICT, content=name, headers=headers), 415, "dog.jpg", "-F file=@PATH")


def test_a_part_without_a_filename_is_a_picture_all_the_same(client: Client) -> None:
    answer = client.post(PREDICT, files={"file": (None, flat("#0000ff"))})
    assert [(p["filename"], p["top"][0]["label"]) for p in answer.json()["predictions"]] == [(None, "blue")]


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


def test_many_models_answer_in_the_order_asked_as_each_does_alone(client: Client) -> None:
    client.publish("signs")
    client.publish("signs")
    client.publish("letters")
    files = [("file", (f"{colour}.png", flat(colour))) for colour in ("red", "blue")]
    names = ["signs", "vgg16", "letters"]
    alone = [client.post(f"/api/v1/models/{name}/predict", files=files, params={"top": 2}).json() for name in names]
    assert [(each["model"], each["version"]) for each in alone] == [("signs", 2), ("vgg16", 1), ("letters", 1)]
    for models in ("signs,vgg16,letters", " signs , vgg16,letters", ["signs,vgg16", "letters"]):
        together = client.post(MANY, files=files, params={"models": models, "top": 2})
        assert together.json() == {"results": alone}


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (None, ["models is required"]),
        ("", ["empty"]),
        ("vgg16,", ["empty"]),
        ("vgg16, ,vgg16", ["empty"]),
        ("vgg16,signs,vgg16", ["each model once", "'vgg16'"]),
        (",".join(f"m{i}" for i in range(33)), ["at most 32", "33"]),
    ],
)
def test_names_of_many_models(client: Client, models: str | None, words: list[str]) -> None:
    answer = client.post(MANY, content=flat("#ff0000"), params={} if models is None else {"models": models})
    check_problem(answer, 422, *words)


def test_the_labels_of_one_answer_have_a_limit(client: Client) -> None:
    for name in ("a", "b", "c"):
        client.publish(name)
    files = [("file", (f"{i}.png", flat("#ff0000"))) for i in range(26)]
    asked = {"models": "a,b,c,vgg16", "top": 1000}
    check_problem(client.post(MANY, files=files, params=asked), 413, "100,000", "104,000")
    assert client.post(MANY, files=files[:25], params=asked).status_code == 200


def test_of_many_models_one_without_weights_is_an_answer_for_all(start: StartClient) -> None:
    client = start(classifier=False)
    client.publish("signs")
    answer = client.post(MANY, content=flat("#ff0000"), params={"models": "signs,vgg16"})
    check_problem(answer, 503, "GRAFT_WEIGHTS_DIR")
