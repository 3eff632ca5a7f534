"""From a folder to a training in one call."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.routes.fine_tune import FineTuneRequest
from graft.training.recipe import Recipe
from tests.app.conftest import Client, check_problem, zipped
from tests.app.test_datasets import DATASETS, leftovers, parts
from tests.drawing import CLASSES, folder

URL = "/api/v1/models/shapes/fine-tune"


def accepted(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert (answer.headers["Location"], job["kind"], job["state"]) == (f"/api/v1/jobs/{job['id']}", "train", "queued")
    assert int(answer.headers["Retry-After"]) > 0
    return job


def nothing_came_of_it(client: Client, home: Path) -> bool:
    lists = [client.get(f"/api/v1/{path}").json()["data"] for path in ("datasets", "jobs")]
    return lists == [[], []] and not leftovers(client, home)


def test_an_archive_becomes_a_dataset_and_a_training_that_waits_for_it(client: Client) -> None:
    params = {"preset": "fine-tuning", "epochs": "5", "priority": "3", "test_split": "0.25"}
    job = accepted(client.post(URL, content=zipped(folder(4)), params=params))
    assert (job["model"], job["revision"], job["priority"]) == ("shapes", None, 3)
    assert (job["recipe"]["preset"], job["recipe"]["epochs"], job["recipe"]["cut"]) == ("fine-tuning", 5, "block4_pool")
    dataset = client.get(f"{DATASETS}/{job['dataset']}").json()
    assert (dataset["name"], dataset["state"]) == ("shapes", "validating")
    client.validate()
    dataset = client.get(f"{DATASETS}/{job['dataset']}").json()
    assert (dataset["state"], dataset["counts"]["test"]) == ("ready", dict.fromkeys(CLASSES, 1))
    claimed = client.services.jobs.claim("training", "test")
    assert claimed
    assert (claimed.id, claimed.revision) == (job["id"], dataset["revision"])


@pytest.mark.parametrize(("asked", "units"), [("64", [64]), ("64,32", [64, 32]), ("[64]", [64])])
def test_hidden_units_without_brackets_which_curl_refuses(client: Client, asked: str, units: list[int]) -> None:
    job = accepted(client.post(URL, params={"hidden_units": asked}, content=zipped(folder(2))))
    assert job["recipe"]["hidden_units"] == units


@pytest.mark.parametrize(
    "send",
    [
        lambda client, fields: client.post(URL, content=zipped(folder(2)), params=fields),
        lambda client, fields: client.request("PUT", URL, content=zipped(folder(2)), params=fields),
        lambda client, fields: client.post(URL, files={"archive": ("a.zip", zipped(folder(2)))}, data=fields),
        lambda client, fields: client.post(
            URL, files=[*parts(folder(2)), *((name, (None, value)) for name, value in fields.items())]
        ),
    ],
    ids=["post", "put", "form with an archive", "form with files first"],
)
def test_fields_in_the_query_or_in_the_form(
    client: Client, send: Callable[[Client, dict[str, str]], httpx.Response]
) -> None:
    fields = {
        "recipe": json.dumps({"preset": "feature-extraction", "epochs": 7, "keep": "last"}),
        "hidden_units": "[64, 32]",
        "batch_norm": "false",
        "learning_rate": "1e-3",
        "keep": "best",
        "name": "my shapes",
    }
    job = accepted(send(client, fields))
    recipe = job["recipe"]
    assert {name: recipe[name] for name in ("preset", "epochs", "hidden_units", "batch_norm", "keep")} == {
        "preset": "feature-extraction",
        "epochs": 7,
        "hidden_units": [64, 32],
        "batch_norm": False,
        "keep": "best",
    }
    assert recipe["learning_rate"] == 1e-3
    assert client.get(f"{DATASETS}/{job['dataset']}").json()["name"] == "my shapes"


def test_without_fields_it_is_the_default_recipe(client: Client) -> None:
    asked = {"recipe": "auto"}
    plain, named = (accepted(client.post(URL, content=zipped(folder(2)), params=params)) for params in ({}, asked))
    assert plain["recipe"] == named["recipe"]
    assert plain["dataset"] != named["dataset"]


def test_fields_that_are_objects_are_json(client: Client) -> None:
    fields = {
        "preset": "fine-tuning",
        "early_stopping": '{"patience": 5}',
        "augmentation": '{"flip": "horizontal", "views": 2}',
        "class_weights": "balanced",
        "label_smoothing": "0.1",
        "time_budget": "60",
    }
    recipe = accepted(client.post(URL, files=parts(folder(2)), data=fields))["recipe"]
    assert recipe["early_stopping"] == {"monitor": "val_loss", "patience": 5}
    assert (recipe["augmentation"]["flip"], recipe["augmentation"]["views"]) == ("horizontal", 2)
    assert (recipe["class_weights"], recipe["label_smoothing"], recipe["time_budget"]) == ("balanced", 0.1, 60)


def test_a_training_that_starts_from_a_version(client: Client, tmp_path: Path) -> None:
    client.publish("shapes")
    recipe = accepted(client.post(URL, content=zipped(folder(2)), params={"init": "shapes:1"}))["recipe"]
    assert (recipe["init"], recipe["cut"], recipe["pooling"]) == ("shapes:1", "block5_pool", "avg")
    datasets = client.get(DATASETS).json()
    check_problem(client.post(URL, files=parts(folder(2)), data={"init": "shapes:9"}), 404, "version 9")
    assert client.get(DATASETS).json() == datasets
    assert not leftovers(client, tmp_path / "home")


def unreadable() -> Any:
    """A body that must not be read."""

    async def pieces() -> Any:
        raise AssertionError("the body was read")
        yield b""

    return pieces()


@pytest.mark.parametrize(
    ("path", "params", "status", "words"),
    [
        (URL, {"eposch": "5"}, 422, ["eposch", "epochs"]),
        (URL, {"epochs": "many"}, 422, ["recipe.epochs", "many"]),
        (URL, {"epochs": "0"}, 422, ["recipe.epochs"]),
        (URL, {"hidden_units": "sixty"}, 422, ["recipe.hidden_units"]),
        (URL, {"preset": "magic"}, 422, ["preset", "magic"]),
        (URL, {"recipe": "[1]"}, 422, ["recipe", "[1]"]),
        (URL, {"recipe": '{"eposch": 5}'}, 422, ["eposch"]),
        (URL, {"precision": "int8"}, 422, ["precision", "not built"]),
        (URL, {"early_stopping": '{"patience": 0}'}, 422, ["recipe.early_stopping.patience"]),
        (URL, {"augmentation": "lots"}, 422, ["recipe.augmentation"]),
        (URL, {"init": "shapes:3"}, 404, ["shapes"]),
        (URL, {"test_split": "1"}, 422, ["test_split"]),
        (URL, {"validation_split": "0.5", "test_split": "0.5"}, 422, ["split"]),
        (URL, {"priority": "101"}, 422, ["priority"]),
        ("/api/v1/models/vgg16/fine-tune", {}, 409, ["built in"]),
        ("/api/v1/models/Shapes!/fine-tune", {}, 400, ["name", "Shapes!"]),
    ],
)
def test_what_can_be_refused_before_the_body_is_read(
    client: Client, tmp_path: Path, path: str, params: dict[str, str], status: int, words: list[str]
) -> None:
    check_problem(client.post(path, content=unreadable(), params=params), status, *words)
    assert nothing_came_of_it(client, tmp_path / "home")


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"eposch": "5"}, "eposch"), ({"epochs": "many"}, "epochs"), ({"test_split": "x"}, "test_split")],
)
def test_form_fields_that_are_wrong_are_named(
    client: Client, tmp_path: Path, fields: dict[str, str], word: str
) -> None:
    check_problem(client.post(URL, files=parts(folder(2)), data=fields), 422, word)
    assert nothing_came_of_it(client, tmp_path / "home")


def test_bodies_that_are_refused(client: Client, tmp_path: Path) -> None:
    check_problem(client.post(URL, content=b"Dear Sir or Madam"), 415, "zip")
    check_problem(client.post(URL, content=b""), 400, "empty")
    check_problem(client.post(URL, json={"dataset": "ds_a"}), 415, "JSON", "/api/v1/jobs")
    assert nothing_came_of_it(client, tmp_path / "home")


def test_a_request_with_a_key_makes_one_dataset_and_one_job(client: Client) -> None:
    key = {"Idempotency-Key": "a"}
    first, again = (client.post(URL, content=zipped(folder(2)), headers=key) for _ in range(2))
    assert accepted(first) == accepted(again)
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert len(client.get(DATASETS).json()["data"]) == 1


def test_a_crash_between_the_dataset_and_the_job_is_mended_by_the_same_request(client: Client) -> None:
    key = {"Idempotency-Key": "a"}
    jobs = client.services.jobs
    dataset = accepted(client.post(URL, content=zipped(folder(2)), headers=key))["dataset"]
    with jobs._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM job_events")
        connection.exec_driver_sql("DELETE FROM jobs")
    again = client.post(URL, content=zipped(folder(2)), headers=key)
    assert accepted(again)["dataset"] == dataset
    assert sorted(job["kind"] for job in client.get("/api/v1/jobs").json()["data"]) == ["train", "validate"]


def test_every_field_of_a_recipe_can_be_asked_for() -> None:
    assert set(Recipe.model_fields) <= set(FineTuneRequest.model_fields)
