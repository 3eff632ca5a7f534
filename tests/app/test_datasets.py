"""Datasets over HTTP: every way to send an archive, and what each bad one is told."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import Client, StartClient, check_problem, zipped
from tests.drawing import CLASSES, folder

DATASETS = "/api/v1/datasets"


def taken_on(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    dataset: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"{DATASETS}/{dataset['id']}"
    assert int(answer.headers["Retry-After"]) > 0
    return dataset


def leftovers(client: Client, home: Path) -> list[Path]:
    """Files under the home's datasets that belong to no dataset."""
    known = {each["id"] for each in client.get(DATASETS).json()["data"]}
    return [p for p in (home / "datasets").rglob("*") if p.is_file() and not known & set(p.parts)]


def test_a_raw_zip_becomes_a_dataset(client: Client, pictures_zip: bytes, tmp_path: Path) -> None:
    dataset = taken_on(client.post(DATASETS, content=pictures_zip, params={"name": "shapes", "test_split": 0.2}))
    assert (dataset["name"], dataset["state"], dataset["revision"]) == ("shapes", "validating", None)
    assert dataset["created_at"].endswith("Z")
    job = client.get("/api/v1/jobs", params={"dataset": dataset["id"]}).json()["data"][0]
    assert (job["kind"], job["state"]) == ("validate", "queued")
    client.validate()
    ready = client.get(f"{DATASETS}/{dataset['id']}").json()
    assert (ready["state"], ready["classes"], ready["problems"]) == ("ready", list(CLASSES), [])
    assert len(ready["revision"]) == 64
    assert {split: sum(classes.values()) for split, classes in ready["counts"].items()} == {
        "train": 12,
        "validation": 3,
        "test": 3,
    }
    assert not leftovers(client, tmp_path / "home")


def test_curl_s_upload_option_says_put(client: Client, pictures_zip: bytes) -> None:
    taken_on(client.request("PUT", DATASETS, content=pictures_zip, params={"name": "shapes"}))


def test_a_form_with_an_archive_and_fields(client: Client, pictures_zip: bytes) -> None:
    files = {"archive": ("my shapes.zip", pictures_zip)}
    assert taken_on(client.post(DATASETS, files=files))["name"] == "my shapes"
    fields = {"name": "shapes", "validation_split": "0.5", "split_seed": "7"}
    assert taken_on(client.post(DATASETS, files=files, data=fields, params={"name": "other"}))["name"] == "shapes"
    client.validate()
    client.validate()
    counts = [each["counts"]["validation"]["discs"] for each in client.get(DATASETS).json()["data"]]
    assert sorted(counts) == [1, 3]


def test_the_doorbell_is_rung_for_the_validation(client: Client, pictures_zip: bytes, tmp_path: Path) -> None:
    taken_on(client.post(DATASETS, content=pictures_zip))
    assert len(list((tmp_path / "home" / "broker" / "data").iterdir())) == 1


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"validation_split": "1"}, "validation_split"),
        ({"test_split": "-0.1"}, "test_split"),
        ({"split_seed": "x"}, "split_seed"),
        ({"name": ""}, "name"),
        ({"nmae": "shapes"}, "nmae"),
    ],
)
def test_fields_that_are_wrong_are_named(
    client: Client, pictures_zip: bytes, tmp_path: Path, params: dict[str, str], word: str
) -> None:
    check_problem(client.post(DATASETS, content=pictures_zip, params=params), 422, word)
    answer = client.post(DATASETS, files={"archive": ("a.zip", pictures_zip)}, data=params)
    check_problem(answer, 422, word)
    assert not leftovers(client, tmp_path / "home")


def test_splits_that_leave_nothing_to_train_on(client: Client, pictures_zip: bytes) -> None:
    params = {"validation_split": 0.6, "test_split": 0.5}
    answer = client.post(DATASETS, content=pictures_zip, params=params)
    assert answer.status_code in (400, 422)
    check_problem(answer, answer.status_code, "split")


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "empty"),
        (b"Dear Sir or Madam", 415, "zip"),
        (zipped(folder(2))[:-200], 400, ""),
        (zipped({path: data for path, data in folder(2).items() if "discs" in path}), 400, "class"),
        (zipped({"../discs/1.jpg": b"x", "stripes/1.jpg": b"y"}), 400, "../discs/1.jpg"),
    ],
    ids=["empty", "text", "broken", "one class", "escape"],
)
def test_archives_that_are_refused(client: Client, tmp_path: Path, body: bytes, status: int, word: str) -> None:
    check_problem(client.post(DATASETS, content=body), status, word)
    check_problem(client.post(DATASETS, files={"archive": ("a.zip", body)}), status, word)
    assert client.get(DATASETS).json() == {"data": [], "has_more": False}
    assert client.get("/api/v1/jobs").json()["data"] == []
    assert not leftovers(client, tmp_path / "home")


def test_forms_that_are_refused(client: Client, pictures_zip: bytes, tmp_path: Path) -> None:
    archive = ("archive", ("a.zip", pictures_zip))
    check_problem(client.post(DATASETS, files=[archive, archive]), 400, "second")
    check_problem(client.post(DATASETS, files={"name": (None, b"shapes")}), 400, "archive")
    check_problem(client.post(DATASETS, files={"zip": ("a.zip", pictures_zip)}), 422, "archive", "zip")
    check_problem(client.post(DATASETS, files=[archive, ("name", (None, b"x" * 5000))]), 413, "name")
    check_problem(client.post(DATASETS, json={"name": "shapes"}), 415, "zip")
    cut = b'--x\r\nContent-Disposition: form-data; name="archive"\r\n\r\n' + pictures_zip
    answer = client.post(DATASETS, content=cut, headers={"Content-Type": "multipart/form-data; boundary=x"})
    check_problem(answer, 400, "cut off")
    assert not leftovers(client, tmp_path / "home")


def test_an_archive_over_the_limit(start: StartClient, pictures_zip: bytes, tmp_path: Path) -> None:
    client = start(archive_bytes=10_000)
    check_problem(client.post(DATASETS, content=pictures_zip), 413, "10000")

    async def unannounced() -> object:
        yield pictures_zip

    check_problem(client.post(DATASETS, content=unannounced()), 413, "10000")
    assert not leftovers(client, tmp_path / "home")


def test_lists_are_paged(client: Client, pictures_zip: bytes) -> None:
    ids = [taken_on(client.post(DATASETS, content=pictures_zip))["id"] for _ in range(3)]
    first = client.get(DATASETS, params={"limit": 2}).json()
    rest = client.get(DATASETS, params={"limit": 2, "after": first["data"][-1]["id"]}).json()
    assert (len(first["data"]), first["has_more"], rest["has_more"]) == (2, True, False)
    assert sorted(each["id"] for each in first["data"] + rest["data"]) == sorted(ids)


def test_delete_waits_for_the_jobs_that_use_it(client: Client, pictures_zip: bytes, tmp_path: Path) -> None:
    this = taken_on(client.post(DATASETS, content=pictures_zip))["id"]
    check_problem(client.request("DELETE", f"{DATASETS}/{this}"), 409, "job")
    client.validate()
    answer = client.request("DELETE", f"{DATASETS}/{this}")
    assert (answer.status_code, answer.content, "content-type" in answer.headers) == (204, b"", False)
    check_problem(client.get(f"{DATASETS}/{this}"), 404, this)
    check_problem(client.request("DELETE", f"{DATASETS}/{this}"), 404, this)
    assert not leftovers(client, tmp_path / "home")


def test_a_validation_that_a_crash_has_forgotten_is_queued_at_the_next_start(
    start: StartClient, pictures_zip: bytes
) -> None:
    first = start()
    made = first.services.datasets.incoming()
    made.write_bytes(pictures_zip)
    dataset = first.services.datasets.create(made, name="left behind")
    second, third = start(), start()
    jobs = third.get("/api/v1/jobs", params={"dataset": dataset.id}).json()["data"]
    assert [job["kind"] for job in jobs] == ["validate"], "one, whoever starts again"
    second.validate()
    assert third.get(f"/api/v1/datasets/{dataset.id}").json()["state"] == "ready"
