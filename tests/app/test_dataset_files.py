"""Datasets that are filled by several calls: opened, added to, sealed, and opened again for the next revision."""

from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Client, StartClient, check_problem, zipped
from tests.app.test_datasets import DATASETS, leftovers, parts, taken_on
from tests.drawing import CLASSES, folder


def opened(client: Client, **fields: Any) -> str:
    answer = client.post(DATASETS, json=fields)
    assert answer.status_code == 201, answer.text
    dataset = answer.json()
    assert (dataset["state"], dataset["files"], dataset["revision"]) == ("open", 0, None)
    assert answer.headers["Location"] == f"{DATASETS}/{dataset['id']}"
    return str(dataset["id"])


def test_a_dataset_is_opened_filled_and_committed(client: Client, tmp_path: Path) -> None:
    this = opened(client, name="shapes", validation_split=0.5)
    url = f"{DATASETS}/{this}"
    first = client.post(f"{url}/files", content=zipped(folder(2)))
    assert (first.status_code, first.json()["state"], first.json()["files"]) == (200, "open", 6)
    again = client.request("PUT", f"{url}/files", content=zipped(folder(2)))
    assert (again.status_code, again.json()["files"]) == (200, 6)
    second = client.post(f"{url}/files", files=parts(folder(2, start=2)))
    assert (second.status_code, second.json()["files"]) == (200, 12)
    assert client.get("/api/v1/jobs").json()["data"] == []
    assert taken_on(client.post(f"{url}/commit"))["state"] == "validating"
    check_problem(client.post(f"{url}/files", content=zipped(folder(2))), 409, "validating")
    client.validate()
    ready = client.get(url).json()
    assert (ready["state"], ready["name"], ready["classes"]) == ("ready", "shapes", list(CLASSES))
    assert ready["counts"]["validation"] == dict.fromkeys(CLASSES, 2)
    assert taken_on(client.post(f"{url}/commit"))["state"] == "ready"
    assert not leftovers(client, tmp_path / "home")


def test_the_next_revision_of_a_ready_dataset(client: Client) -> None:
    url = f"{DATASETS}/{taken_on(client.post(DATASETS, content=zipped(folder(4))))['id']}"
    client.validate()
    old = client.get(url).json()
    added = client.post(f"{url}/files", files=parts(folder(1, start=4))).json()
    assert (added["state"], added["revision"], added["files"]) == ("open", old["revision"], 15)
    taken_on(client.post(f"{url}/commit"))
    client.validate()
    new = client.get(url).json()
    assert (new["state"], new["revision"] != old["revision"]) == ("ready", True)


def test_a_batch_goes_in_whole_or_not_at_all(client: Client, tmp_path: Path) -> None:
    url = f"{DATASETS}/{opened(client)}"
    client.post(f"{url}/files", files=parts({"discs/1.jpg": b"one", "discs/2.jpg": b"two"}))
    before = sorted(path.name for path in (tmp_path / "home" / "datasets").rglob("*") if path.is_file())
    answer = client.post(f"{url}/files", files=parts({"discs/3.jpg": b"three", "discs/1.jpg": b"another"}))
    check_problem(answer, 409, "'discs/1.jpg'", "other content")
    check_problem(client.post(f"{url}/files", files=parts({"discs/3.jpg": b"three", "/etc/x": b"x"})), 400, "relative")
    assert client.get(url).json()["files"] == 2
    assert sorted(path.name for path in (tmp_path / "home" / "datasets").rglob("*") if path.is_file()) == before


def test_what_cannot_be_committed(client: Client) -> None:
    url = f"{DATASETS}/{opened(client)}"
    check_problem(client.post(f"{url}/commit"), 400)
    client.post(f"{url}/files", files=parts({"discs/1.jpg": b"one"}))
    check_problem(client.post(f"{url}/commit"), 400, "class")
    assert client.get(url).json()["state"] == "open"
    for path in ("files", "commit"):
        check_problem(client.post(f"{DATASETS}/ds_nowhere/{path}", content=b"x"), 404, "ds_nowhere")


def test_what_cannot_be_added(start: StartClient) -> None:
    client = start(archive_bytes=10_000, archive_entries=3)
    url = f"{DATASETS}/{opened(client)}/files"
    check_problem(client.post(url, content=b"\0" * 10_001), 413, "10000")
    check_problem(client.post(url, files=parts({f"discs/{i}.jpg": b"x" for i in range(4)})), 413, "3 entries")
    check_problem(client.post(url, content=b"Dear Sir or Madam"), 415, "zip")
    check_problem(client.post(url, json={"name": "shapes"}), 415, "received JSON")
    check_problem(client.post(url, content=b""), 400, "empty")
    check_problem(client.post(url, files={"name": (None, b"shapes")}), 422, "archive, file", "'name'")
    check_problem(client.post(url, params={"name": "x"}), 422, "name")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"[]", 422, ["JSON object"]),
        (b"{", 400, ["JSON"]),
        (b'{"test_split": NaN}', 400, ["JSON"]),
        (b"", 400, ["empty"]),
        (b'{"nmae": "x"}', 422, ["nmae"]),
        (b'{"name": ""}', 422, ["name"]),
        (b'{"boxes": "round"}', 422, ["boxes"]),
        (b'{"validation_split": 0.5, "test_split": 0.5}', 422, ["validation_split", "test_split"]),
    ],
)
def test_json_that_opens_nothing(client: Client, body: bytes, status: int, words: list[str]) -> None:
    check_problem(client.post(DATASETS, content=body, headers={"Content-Type": "application/json"}), status, *words)
    assert client.get(DATASETS).json()["data"] == []


def test_json_without_its_type_is_told_so(client: Client) -> None:
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = client.post(DATASETS, content=b' {"name": "shapes"}', headers=headers)
        check_problem(answer, 415, "Content-Type: application/json")


def test_the_query_may_say_what_the_json_does_not(client: Client) -> None:
    answer = client.post(DATASETS, json={"name": "shapes"}, params={"boxes": "whole", "name": "other"})
    assert (answer.status_code, answer.json()["name"]) == (201, "shapes")
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert client.post(DATASETS, content=b"{}", headers=headers).json()["name"] == "dataset"


def test_requests_with_a_key_create_once(client: Client) -> None:
    """A repeated upload is answered without its body being read."""
    key = {"Idempotency-Key": "a"}
    body = zipped(folder(2))
    first, again = (client.post(DATASETS, content=body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert (first.json()["id"], "Idempotency-Replayed" in first.headers) == (again.json()["id"], False)
    assert (again.headers["Idempotency-Replayed"], again.headers["Location"]) == ("true", first.headers["Location"])
    check_problem(client.post(DATASETS, content=body + b"x", headers=key), 422, "Idempotency-Key")
    ids = [client.post(DATASETS, json={}, headers={"Idempotency-Key": "b"}).json()["id"] for _ in range(2)]
    assert ids[0] == ids[1] != first.json()["id"]
    files = f"{DATASETS}/{ids[0]}/files"
    added = client.post(files, content=body, headers={"Idempotency-Key": "c"})
    taken_on(client.post(f"{DATASETS}/{ids[0]}/commit"))
    replayed = client.post(files, content=body, headers={"Idempotency-Key": "c"})
    assert "Idempotency-Replayed" not in added.headers
    assert (replayed.status_code, replayed.json()["state"], replayed.headers["Idempotency-Replayed"]) == (
        200,
        "validating",
        "true",
    )
    assert len(client.get(DATASETS).json()["data"]) == 2


def test_what_was_added_is_taken_back(client: Client) -> None:
    url = f"{DATASETS}/{taken_on(client.post(DATASETS, content=zipped(folder(4))))['id']}"
    check_problem(client.request("DELETE", f"{url}/files"), 409, "validating")
    client.validate()
    ready = client.get(url).json()
    client.post(f"{url}/files", files=parts({"stray.jpg": b"in no class"}))
    check_problem(client.post(f"{url}/commit"), 400, "class folder")
    answer = client.request("DELETE", f"{url}/files")
    assert (answer.status_code, answer.json()) == (200, ready)
    check_problem(client.request("DELETE", f"{DATASETS}/ds_none/files"), 404, "ds_none")


@pytest.mark.parametrize(("filename", "name"), [
    ("pets.tar.gz", "pets"), (".zip", "dataset"), ("n" * 300 + ".zip", "n" * 200),
])  # fmt: skip
def test_an_archive_s_name_is_the_dataset_s(client: Client, filename: str, name: str) -> None:
    answer = client.post(DATASETS, files={"archive": (filename, zipped(folder(2)))})
    assert taken_on(answer)["name"] == name
