"""The main job, as a user does it: folder in, model out, prediction back; over HTTP, from what `make up` starts."""

import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drawing import CLASSES, folder, jpeg, zip_of
from tests.e2e.service import Service, running

RECIPE = {
    "preset": "feature-extraction",
    "epochs": 8,
    "batch_size": 9,
    "steps_per_epoch": 4,
    "learning_rate": 1e-3,
    "dropout": 0.2,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graft") / "home"


@pytest.fixture(scope="module")
def service(home: Path, trunk_file: Path) -> Iterator[Service]:
    """Running with the trunk alone, and with leases that run out soon."""
    settings = {"GRAFT_WEIGHTS_DIR": str(trunk_file.parent), "GRAFT_LEASE_SECONDS": "4", "GRAFT_HEARTBEAT_SECONDS": "1"}
    with running(home, **settings) as service:
        yield service
        assert "Traceback" not in service.log


@pytest.fixture(scope="module")
def dataset(service: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return service.upload(zip_of(folder(10), tmp_path_factory.mktemp("zip") / "shapes.zip"), "shapes")


@pytest.fixture(scope="module")
def trained(service: Service, dataset: dict[str, Any]) -> dict[str, Any]:
    return service.train(dataset["id"], "shapes", RECIPE)


def test_a_folder_becomes_a_dataset(dataset: dict[str, Any]) -> None:
    assert dataset["classes"] == list(CLASSES)
    assert dataset["counts"]["train"] == dict.fromkeys(CLASSES, 8)
    assert dataset["counts"]["validation"] == dict.fromkeys(CLASSES, 2)
    assert dataset["problems"] == []


def test_a_job_becomes_a_version(service: Service, trained: dict[str, Any]) -> None:
    assert (trained["state"], trained["version"], trained["failures"]) == ("succeeded", 1, 0)
    assert trained["progress"]["phase"] == "publishing"
    assert trained["metrics"]["validation"]["accuracy"] >= 0.8
    card = service.http.get("/models/shapes/versions/1").json()
    assert card["classes"] == list(CLASSES)
    assert card["recipe"] == trained["recipe"]
    assert (card["dataset_revision"], card["job_id"]) == (trained["revision"], trained["id"])
    assert (
        card["trainable_parameters"] + card["frozen_parameters"] == 14_714_688 + 25088 * 64 + 64 + 4 * 64 + 64 * 3 + 3
    )


def test_the_report_has_numbers_and_pictures(service: Service, trained: dict[str, Any]) -> None:
    path = f"/models/shapes/versions/{trained['version']}/report"
    report = service.http.get(path).json()
    assert len(report["history"]["val_loss"]) == RECIPE["epochs"]
    assert sum(map(sum, report["validation"]["confusion_matrix"])) == 6
    for name in ("confusion_matrix.png", "learning_curves.png"):
        assert service.http.get(f"{path}/{name}").content.startswith(b"\x89PNG")


def test_the_model_answers_at_its_route(service: Service, trained: dict[str, Any]) -> None:
    right = 0
    for label in CLASSES:
        for seed in range(100, 104):
            answer = service.predict("shapes", jpeg(label, seed))
            top = answer["predictions"][0]["top"]
            assert (answer["model"], answer["version"], len(top)) == ("shapes", trained["version"], 3)
            assert sum(guess["probability"] for guess in top) == pytest.approx(1, abs=1e-5)
            right += top[0]["label"] == label
    assert right >= 10


def test_the_events_tell_the_whole_story(service: Service, trained: dict[str, Any]) -> None:
    events = service.http.get(f"/jobs/{trained['id']}/events", params={"limit": 500}).json()["data"]
    types = [event["type"] for event in events]
    assert types[:5] == ["queued", "running", "recipe", "summary", "features"]
    assert types.count("epoch") == RECIPE["epochs"]
    assert types[-2:] == ["published", "succeeded"]


def test_a_second_job_computes_no_features_again(service: Service, trained: dict[str, Any]) -> None:
    job = service.train(trained["dataset"], "shapes-again", {**RECIPE, "epochs": 1, "seed": 9})
    events = service.http.get(f"/jobs/{job['id']}/events").json()["data"]
    features = next(event["data"] for event in events if event["type"] == "features")
    assert (features["kept"], features["to_compute"]) == (30, 0)


@pytest.mark.parametrize("victim", ["job process", "worker"])
def test_kill_9_in_the_middle_of_training_costs_a_moment(
    service: Service, dataset: dict[str, Any], victim: str
) -> None:
    """The run goes on from its last checkpoint; there is one version, and its history has every epoch once."""
    model = victim.replace(" ", "-")
    recipe = {**RECIPE, "epochs": 500}  # so many that the kill comes before the last one
    job = service.http.post("/jobs", json={"dataset": dataset["id"], "model": model, "recipe": recipe}).json()
    service.wait(lambda: service.count(job["id"], "epoch") >= 3, 120, "the third epoch")
    pattern = f"worker.job {job['id']}" if victim == "job process" else "worker.celery_app training"
    os.kill(service.process_id(pattern), signal.SIGKILL)
    ended = service.finished(f"/jobs/{job['id']}")
    assert (ended["state"], ended["failures"], ended["version"]) == ("succeeded", 1, 1)
    assert service.count(job["id"], "resumed") == 1
    assert len(service.http.get(f"/models/{model}").json()["versions"]) == 1
    report = service.http.get(f"/models/{model}/versions/1/report").json()
    assert len(report["history"]["loss"]) == 500


def test_bad_input_gets_its_status_and_a_sentence(service: Service, dataset: dict[str, Any], tmp_path: Path) -> None:
    http, broken, one_class = service.http, tmp_path / "broken.zip", tmp_path / "one.zip"
    broken.write_bytes(zip_of(folder(2), tmp_path / "whole.zip").read_bytes()[:2000])
    zip_of({"cats/1.jpg": jpeg("discs", 1), "cats/2.jpg": jpeg("discs", 2)}, one_class)
    job = {"dataset": dataset["id"], "model": "shapes"}
    answers = {
        "no classifier": (http.post("/models/vgg16/predict", content=jpeg("discs", 1)), 503, "GRAFT_WEIGHTS_URL"),
        "text": (http.post("/models/shapes/predict", content=b"just some text"), 415, "JPEG"),
        "broken zip": (http.post("/datasets?name=b", content=broken.read_bytes()), 400, "zip"),
        "unknown model": (http.post("/models/nobody/predict", content=jpeg("discs", 1)), 404, "nobody"),
        "unknown field": (http.post("/jobs", json={**job, "recipe": {"epoch": 3}}), 422, "'epoch'"),
        "one class": (http.post("/datasets?name=o", content=one_class.read_bytes()), 400, "two class"),
    }
    for what, (answer, status, word) in answers.items():
        assert answer.status_code == status, (what, answer.text)
        assert answer.headers["content-type"] == "application/problem+json", what
        problem = answer.json()
        assert word in problem["detail"], (what, problem)
        assert problem["error"] == problem["detail"], what


def test_after_a_restart_the_numbers_are_the_same(trunk_file: Path, tmp_path: Path) -> None:
    picture, settings = jpeg("stripes", 500), {"GRAFT_WEIGHTS_DIR": str(trunk_file.parent)}
    with running(tmp_path / "home", **settings) as service:
        dataset = service.upload(zip_of(folder(4), tmp_path / "shapes.zip"), "shapes")
        service.train(dataset["id"], "shapes", {**RECIPE, "epochs": 1})
        before = service.predict("shapes", picture)
        assert service.stop() == 0
    with running(tmp_path / "home", **settings) as service:
        assert service.predict("shapes", picture) == before
        assert service.http.get("/datasets").json()["data"][0]["state"] == "ready"
        assert "Traceback" not in service.log


def test_sign_language_from_twenty_pictures_a_class(assets: Path, real_pictures: list[Path], tmp_path: Path) -> None:
    archive = tmp_path / "digits.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (p for d in range(10) for p in sorted((assets / f"sign-language-digits/train/{d}").iterdir())[:20]):
            file.write(path, f"digits/{path.parent.name}/{path.name}")
    sizes = {"epochs": 2, "batch_size": 10, "steps_per_epoch": 16}
    recipe = {"preset": "feature-extraction", **sizes, "learning_rate": 1e-3, "dropout": 0}
    with running(tmp_path / "home", GRAFT_WEIGHTS_DIR=str(assets / "weights")) as service:
        dataset = service.upload(archive, "digits")
        job = service.train(dataset["id"], "digits", recipe)
        files = [("file", (f"{path.parent.name}/{path.name}", path.read_bytes())) for path in real_pictures]
        answer = service.http.post("/models/digits/predict", params={"top": 1}, files=files).raise_for_status().json()
    assert job["metrics"]["validation"]["pictures"] == 40
    right = sum(entry["filename"].startswith(entry["top"][0]["label"]) for entry in answer["predictions"])
    assert right >= 8, f"{right} of {len(files)}; a guess has one of ten right"
