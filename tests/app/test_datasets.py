"""Datasets over HTTP: every way to send an archive, and what each bad one is told."""

import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from graft.datasets import NewDataset
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


def test_what_was_found_is_said_by_kind_and_file_by_file(client: Client) -> None:
    files = folder(5)
    body = zipped({**files, "discs/copy.jpg": files["discs/0.jpg"], "discs/text.jpg": b"Dear Sir or Madam"})
    url = f"{DATASETS}/{taken_on(client.post(DATASETS, content=body))['id']}"
    assert (client.get(url).json()["checks"], client.get(url).json()["problems"]) == (None, [])
    client.validate()
    found = client.get(url).json()
    (check,) = [each for each in found["checks"] if each["code"] == "not_a_picture"]
    assert (check["severity"], check["count"], check["examples"]) == ("warning", 1, ["discs/text.jpg"])
    assert check["message"].endswith("1 of 17.")
    told = [(each["path"], each["code"], each["left_out"]) for each in found["problems"]]
    assert told == [("discs/text.jpg", "not_a_picture", True), ("discs/copy.jpg", "duplicate", False)]


def test_a_dataset_whose_validation_was_cancelled_says_so(client: Client, pictures_zip: bytes) -> None:
    dataset = taken_on(client.post(DATASETS, content=pictures_zip))["id"]
    (job,) = client.get("/api/v1/jobs").json()["data"]
    client.post(f"/api/v1/jobs/{job['id']}/cancel")
    (problem,) = client.get(f"{DATASETS}/{dataset}").json()["problems"]
    assert (problem["path"], problem["code"], problem["left_out"]) == (None, "validation_cancelled", False)


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


def tarred(files: Mapping[str, bytes], mode: str = "w:") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("declared", [None, "application/zip", "application/x-www-form-urlencoded", "image/jpeg"])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_raw_archive_is_told_by_its_content(client: Client, kind: str, declared: str | None) -> None:
    body = {"zip": zipped(folder(2)), "tar": tarred(folder(2)), "tar.gz": tarred(folder(2), "w:gz")}[kind]
    headers = {} if declared is None else {"Content-Type": declared}
    assert taken_on(client.post(DATASETS, content=body, headers=headers))["files"] == 6
    dataset = taken_on(client.post(DATASETS, files={"archive": (f"my.shapes.{kind}", body)}))
    assert (dataset["files"], dataset["name"]) == (6, "my.shapes")


def parts(files: Mapping[str, bytes]) -> list[tuple[str, Any]]:
    return [("file", (name, data)) for name, data in files.items()]


def field(name: str, value: str) -> tuple[str, Any]:
    return name, (None, value.encode())


def test_a_form_with_a_part_for_every_picture(client: Client) -> None:
    files = parts({**folder(2), "discs/.DS_Store": b"x"})
    fields = [field("validation_split", "0.5")]
    for sent in ([*fields, *files], [*files, *fields]):
        dataset = taken_on(client.post(DATASETS, files=sent, params={"name": "shapes"}))
        assert (dataset["files"], dataset["name"]) == (6, "shapes")
        client.validate()
        ready = client.get(f"{DATASETS}/{dataset['id']}").json()
        assert ready["counts"]["train"] == ready["counts"]["validation"] == dict.fromkeys(CLASSES, 1)


@pytest.mark.parametrize(
    ("names", "status", "words"),
    [
        (["discs/1.jpg", "stripes/1.jpg", "discs/1.jpg"], 400, ["'discs/1.jpg'", "twice"]),
        (["discs\\1.jpg", "stripes/1.jpg"], 400, ["/ between folders"]),
        (["../1.jpg", "stripes/1.jpg"], 400, [".."]),
        (["1.jpg", "2.jpg"], 400, ["class"]),
    ],
)
def test_file_parts_that_are_refused(
    client: Client, tmp_path: Path, names: list[str], status: int, words: list[str]
) -> None:
    sent = [("file", (name, str(i).encode())) for i, name in enumerate(names)]
    check_problem(client.post(DATASETS, files=sent), status, *words)
    assert not leftovers(client, tmp_path / "home")


def test_a_picture_alone_is_no_archive(client: Client) -> None:
    check_problem(client.post(DATASETS, content=folder(1)["discs/0.jpg"]), 415, "zip")
    assert "b'" not in client.post(DATASETS, content=b"\xff\xd8\xffabc").text


@pytest.mark.parametrize(
    ("begin", "word"), [(b"\0", "zip"), (b"\xff\xd8\xff", "zip"), (b'{"instances": [{"b64": "', "received JSON")]
)
def test_what_is_no_archive_is_refused_as_soon_as_that_can_be_told(
    client: Client, tmp_path: Path, begin: bytes, word: str
) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="archive"; filename="a.zip"\r\n\r\n'
    for head, declared in ((b"", "application/zip"), (form, "multipart/form-data; boundary=x")):

        async def pieces(head: bytes = head) -> AsyncIterator[bytes]:
            yield head + begin + b"A" * 2**20
            raise AssertionError("the rest was read")

        answer = client.post(DATASETS, content=pieces(), headers={"Content-Type": declared})
        check_problem(answer, 415, word)
    assert not leftovers(client, tmp_path / "home")


def test_an_archive_in_a_part_for_a_picture(client: Client, pictures_zip: bytes) -> None:
    answer = client.post(DATASETS, files={"file": ("pictures.zip", pictures_zip)})
    check_problem(answer, 400, "'pictures.zip' is a zip file", "as the archive")


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
    file = ("file", ("discs/1.jpg", b"x"))
    for mixed in ([archive, archive], [archive, file], [file, archive]):
        check_problem(client.post(DATASETS, files=mixed), 422, "one part named archive", "parts named file")
    check_problem(client.post(DATASETS, files={"name": (None, b"shapes")}), 400, "archive", "file")
    check_problem(client.post(DATASETS, files={"file": (None, b"x")}), 422, "filename")
    check_problem(client.post(DATASETS, files={"zip": ("a.zip", pictures_zip)}), 422, "archive", "zip")
    check_problem(client.post(DATASETS, files=[archive, ("name", (None, b"x" * 5000))]), 413, "name")
    for name in ("archive", "file"):
        cut = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="a/b"\r\n\r\nxyz'.encode()
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


def test_lists_are_filtered(client: Client, pictures_zip: bytes) -> None:
    for name in ("shapes", "signs"):
        taken_on(client.post(DATASETS, content=pictures_zip, params={"name": name}))
    client.validate()

    def names(**params: str) -> list[str]:
        return [each["name"] for each in client.get(DATASETS, params=params).json()["data"]]

    assert names(state="ready") == ["shapes"]
    assert names(state="validating") == names(name="signs") == ["signs"]
    assert names(state="ready", name="signs") == []
    check_problem(client.get(DATASETS, params={"state": "done"}), 422, "state", "done")


def test_delete_waits_for_the_jobs_that_use_it(client: Client, pictures_zip: bytes, tmp_path: Path) -> None:
    this = taken_on(client.post(DATASETS, content=pictures_zip))["id"]
    check_problem(client.request("DELETE", f"{DATASETS}/{this}"), 409, "job")
    client.validate()
    answer = client.request("DELETE", f"{DATASETS}/{this}")
    assert (answer.status_code, answer.content, "content-type" in answer.headers) == (204, b"", False)
    check_problem(client.get(f"{DATASETS}/{this}"), 404, this)
    check_problem(client.request("DELETE", f"{DATASETS}/{this}"), 404, this)
    assert not leftovers(client, tmp_path / "home")


def left_validating(client: Client, files: bytes) -> str:
    """As a crash leaves it that comes between the dataset's row and its job's."""
    with client.services.datasets.intake() as intake:
        intake.archive.write_bytes(files)
        intake.unpack()
        return client.services.datasets.create(intake, NewDataset("left behind")).id


def validations(client: Client, dataset: str) -> list[str]:
    jobs = client.get("/api/v1/jobs", params={"dataset": dataset}).json()["data"]
    return [job["kind"] for job in jobs]


def test_a_validation_that_a_crash_has_forgotten_is_queued_at_the_next_start(
    start: StartClient, pictures_zip: bytes
) -> None:
    dataset = left_validating(start(), pictures_zip)
    second, third = start(), start()
    assert validations(third, dataset) == ["validate"], "one, whoever starts again"
    second.validate()
    assert third.get(f"/api/v1/datasets/{dataset}").json()["state"] == "ready"


def test_a_validation_that_a_crash_has_forgotten_is_queued_by_another_commit(
    client: Client, pictures_zip: bytes
) -> None:
    dataset = left_validating(client, pictures_zip)
    assert validations(client, dataset) == []
    for _ in range(2):
        taken_on(client.post(f"{DATASETS}/{dataset}/commit"))
        assert validations(client, dataset) == ["validate"]
