"""Jobs over HTTP: taken on, followed, stopped."""

from typing import Any, cast

import pytest

from app.schemas import JobRequest
from graft.training.presets import RecipeRequest
from graft.training.recipe import Recipe
from tests.app.conftest import Client, StartClient, check_problem, paths, zipped
from tests.drawing import folder

JOBS = "/api/v1/jobs"


@pytest.fixture
def dataset(client: Client, pictures_zip: bytes) -> str:
    """Id of a dataset that is ready."""
    this: str = client.post("/api/v1/datasets", content=pictures_zip).json()["id"]
    client.validate()
    return this


def create(client: Client, dataset: str, **more: Any) -> dict[str, Any]:
    answer = client.post(JOBS, json={"dataset": dataset, "model": "signs", **more})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"{JOBS}/{job['id']}"
    assert int(answer.headers["Retry-After"]) > 0
    return job


def test_a_job_pins_the_dataset_s_revision_and_resolves_its_recipe(client: Client, dataset: str) -> None:
    job = create(client, dataset, recipe={"preset": "fine-tuning", "epochs": 5}, priority=3, metadata={"who": "me"})
    revision = client.get(f"/api/v1/datasets/{dataset}").json()["revision"]
    recipe = job.pop("recipe")
    assert (recipe["preset"], recipe["epochs"], recipe["cut"]) == ("fine-tuning", 5, "block4_pool")
    created = job.pop("created_at")
    assert created.endswith("Z")
    nothing = dict.fromkeys(["phase", "epoch", "epochs", "step", "steps", "rate", "eta_seconds"])
    assert job == {
        "id": job["id"],
        "kind": "train",
        "state": "queued",
        "model": "signs",
        "version": None,
        "dataset": dataset,
        "revision": revision,
        "priority": 3,
        "progress": nothing,
        "metrics": None,
        "result": None,
        "failures": 0,
        "error": None,
        "started_at": None,
        "finished_at": None,
        "metadata": {"who": "me"},
    }
    assert client.get(f"{JOBS}/{job['id']}").json() == job | {"recipe": recipe, "created_at": created}


@pytest.mark.parametrize("recipe", [None, "auto", {}, {"preset": "auto"}])
def test_auto_is_the_default_and_shows_what_was_asked_until_it_is_planned(
    client: Client, dataset: str, recipe: object
) -> None:
    assert create(client, dataset, recipe=recipe)["recipe"] == create(client, dataset)["recipe"] == {"preset": "auto"}


def test_a_planned_recipe_takes_the_place_of_what_was_asked(client: Client, dataset: str) -> None:
    asked = {"preset": "auto", "epochs": 5}
    job, jobs = create(client, dataset, recipe=asked), client.services.jobs
    assert job["recipe"] == asked
    claimed = jobs.claim("training", "test")
    assert claimed is not None
    planned = RecipeRequest.parse(claimed.recipe).resolve({"cut": "block4_pool"}).model_dump(mode="json")
    jobs.settle(claimed.id, claimed.fence, planned)
    assert client.get(f"{JOBS}/{job['id']}").json()["recipe"] == planned
    assert (planned["epochs"], planned["cut"], planned["precision"]) == (5, "block4_pool", "auto")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"recipe": {"eposch": 3}, "dataset": "ds_none", "model": "signs"}, ["eposch"]),
        ({"recipe": {"eposch": 3}}, ["eposch", "dataset is required", "model is required"]),
        ({"recipe": {"epochs": 0}, "dataset": "ds_none", "model": "signs"}, ["recipe.epochs"]),
        ({"recipe": "quick", "dataset": "ds_none", "model": "signs"}, ["recipe.preset", "quick"]),
        ({"recipe": {"precision": "int8"}, "dataset": "ds_none", "model": "signs"}, ["precision", "not built"]),
        ({"recipe": {"early_stopping": 5}, "dataset": "ds_none", "model": "signs"}, ["recipe.early_stopping"]),
        ({"recipe": {"preset": ["fine-tuning"]}, "dataset": "ds_none", "model": "signs"}, ["recipe.preset"]),
        ({"recipe": 7, "dataset": "ds_none", "model": "signs"}, ["recipe"]),
        ({"recipe": ["fine-tuning"], "dataset": "ds_none", "model": "signs"}, ["recipe"]),
        ({"dataset": "ds_none", "model": "Sign Language"}, ["Sign Language"]),
        ({"dataset": "ds_none", "model": "signs", "epochs": 3}, ["epochs is no field", "put it inside recipe"]),
        ({"dataset": "ds_none", "model": "signs", "colour": 3}, ["colour is no field of this request; take it out"]),
        ({"recipe": {"hidden_units": 64}, "dataset": "ds_none", "model": "signs"}, ["recipe.hidden_units", "[64]"]),
        ({"dataset": 7, "model": "signs"}, ["dataset"]),
    ],
)
def test_fields_that_are_wrong_are_named(client: Client, body: dict[str, Any], words: list[str]) -> None:
    check_problem(client.post(JOBS, json=body), 422, *words)


def test_what_cannot_be_trained(client: Client, dataset: str) -> None:
    check_problem(client.post(JOBS, json={"dataset": "ds_none", "model": "signs"}), 404, "ds_none")
    check_problem(client.post(JOBS, json={"dataset": dataset, "model": "vgg16"}), 409, "built in")


def test_a_dataset_that_is_not_valid_yet(client: Client, pictures_zip: bytes) -> None:
    this = client.post("/api/v1/datasets", content=pictures_zip).json()["id"]
    waiting = create(client, this)
    assert (waiting["state"], waiting["revision"]) == ("queued", None)
    validation = client.get(JOBS, params={"dataset": this, "kind": "validate"}).json()["data"][0]
    client.post(f"{JOBS}/{validation['id']}/cancel")
    answer = client.post(JOBS, json={"dataset": this, "model": "signs"})
    check_problem(answer, 409, "rejected", "cancelled", "Upload the set again")
    assert "Retry-After" not in answer.headers
    assert client.get(f"{JOBS}/{waiting['id']}").json()["error"]["code"] == "dataset_rejected"


def test_a_rejected_dataset_says_why(client: Client) -> None:
    broken = dict.fromkeys(folder(3), b"not a picture")
    this = client.post("/api/v1/datasets", content=zipped(broken)).json()["id"]
    client.validate()
    assert client.get(f"/api/v1/datasets/{this}").json()["state"] == "rejected"
    answer = client.post(JOBS, json={"dataset": this, "model": "signs"})
    check_problem(answer, 409, "rejected", "Upload a corrected one")
    assert "Retry-After" not in answer.headers


def test_bodies_that_are_no_json_or_too_much_of_it(client: Client) -> None:
    headers = {"Content-Type": "application/json"}
    check_problem(client.post(JOBS, content=b'{"dataset": ', headers=headers), 400, "JSON")
    check_problem(client.post(JOBS, content=b"\xff\xfe", headers=headers), 400)
    check_problem(client.post(JOBS), 422, "The body")
    check_problem(client.post(JOBS, content=b"{}"), 422, "with the header Content-Type: application/json", "none")
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl -d says
    problem = check_problem(client.post(JOBS, content=b"{}", headers=form), 422, "header application/x-www-form", "-H")
    assert "b'" not in problem["detail"]
    check_problem(client.post(JOBS, json=["{}"]), 422, "must be a JSON object; received ['{}']")
    for value in (b"NaN", b'"\\ud800"', b"[" * 5000 + b"]" * 5000):
        body = b'{"dataset": "ds_a", "model": "signs", "metadata": {"a": ' + value + b"}}"
        check_problem(client.post(JOBS, content=body, headers=headers), 400, "JSON")
    infinite = b'{"dataset": "ds_a", "model": "signs", "metadata": {"a": [1e999]}}'
    check_problem(client.post(JOBS, content=infinite, headers=headers), 422, "finite")
    much = b'{"model": "' + b"x" * 2**20 + b'"}'
    check_problem(client.post(JOBS, content=much, headers=headers), 413, "1048576")


def test_a_recipe_s_fields_are_documented() -> None:
    (schema,) = [each for each in paths()[JOBS]["post"]["requestBody"]["content"].values() if "$ref" in each["schema"]]
    assert schema["schema"]["$ref"].endswith("/JobRequest")
    _name, described, _null = JobRequest.model_json_schema()["properties"]["recipe"]["anyOf"]
    assert set(described["properties"]) == set(Recipe.model_fields)
    assert "required" not in described
    assert "20 epochs of 4 steps" in described["properties"]["steps_per_epoch"]["description"]
    assert "$ref" not in str(described)


STARTS = [
    ({"init": "signs:9"}, 404, ["'signs' has 1; received version 9"]),
    ({"init": "sings:1"}, 404, ["there are vgg16, signs; received 'sings'"]),
    ({"init": "vgg16:1"}, 422, ["vgg16, which is built in", "init imagenet"]),
    ({"init": "signs:1", "preprocessing": "none"}, 422, ["recipe.preprocessing must be 'caffe'", "received 'none'"]),
    ({"init": "signs:1", "hidden_units": [8]}, 422, ["recipe.hidden_units must be []", "received [8]"]),
    ({"init": "signs:1", "pooling": "max"}, 422, ["recipe.pooling must be 'avg'", "init signs:1"]),
    ({"init": "signs"}, 422, ["recipe.init must be imagenet, random, or a version"]),
]


@pytest.mark.parametrize(("recipe", "status", "words"), STARTS)
def test_a_version_to_start_from_that_is_not_there_or_does_not_fit(
    client: Client, dataset: str, recipe: dict[str, Any], status: int, words: list[str]
) -> None:
    client.publish("signs")
    answer = client.post(JOBS, json={"dataset": dataset, "model": "signs", "recipe": recipe})
    check_problem(answer, status, *words)


def test_what_is_not_asked_for_is_as_the_version_has_it(client: Client, dataset: str) -> None:
    client.publish("signs")
    plain = create(client, dataset, recipe={"init": "signs:1"})["recipe"]
    assert (plain["preset"], plain["cut"], plain["pooling"], plain["interpolation"]) == (
        "auto",
        "block5_pool",
        "avg",
        "nearest",
    )
    deeper = create(client, dataset, recipe={"preset": "fine-tuning", "init": "signs:1", "cut": "block4_pool"})
    assert {field: deeper["recipe"][field] for field in ("init", "cut", "preprocessing", "epochs")} == {
        "init": "signs:1",
        "cut": "block4_pool",
        "preprocessing": "caffe",
        "epochs": 20,
    }


def test_cancel(client: Client, dataset: str) -> None:
    job = create(client, dataset)
    answer = client.post(f"{JOBS}/{job['id']}/cancel")
    assert answer.json()["state"] == "cancelled"
    assert answer.json()["finished_at"].endswith("Z")
    assert client.post(f"{JOBS}/{job['id']}/cancel").json()["state"] == "cancelled"
    check_problem(client.post(f"{JOBS}/job_none/cancel"), 404, "job_none")


def test_a_finished_job_cannot_be_cancelled(client: Client, dataset: str) -> None:
    validation = client.get(JOBS, params={"kind": "validate", "dataset": dataset}).json()["data"][0]
    check_problem(client.post(f"{JOBS}/{validation['id']}/cancel"), 409, "succeeded")


def test_a_running_job_s_progress_and_a_failed_one_s_reason(client: Client, dataset: str) -> None:
    this = create(client, dataset)["id"]
    jobs = client.services.jobs
    job = jobs.claim("training", "test")
    assert job is not None
    jobs.progress(this, job.fence, {"phase": "training", "epoch": 2, "epochs": 20})
    shown = client.get(f"{JOBS}/{this}").json()
    assert (shown["state"], shown["metrics"]) == ("running", None)
    assert (shown["progress"]["phase"], shown["progress"]["epoch"], shown["progress"]["step"]) == ("training", 2, None)
    assert client.post(f"{JOBS}/{this}/cancel").json()["state"] == "cancelling"
    jobs.fail(this, job.fence, code="invalid_input", message="The data has one class.")
    shown = client.get(f"{JOBS}/{this}").json()
    assert shown["error"] == {"code": "invalid_input", "message": "The data has one class."}


def test_lists_are_filtered_and_paged(client: Client, dataset: str) -> None:
    ids = [create(client, dataset, model=model)["id"] for model in ("a", "b", "a")]

    def listed(**params: object) -> tuple[list[str], bool]:
        page = client.get(JOBS, params=cast("dict[str, str]", params)).json()
        return [job["id"] for job in page["data"]], page["has_more"]

    assert set(listed(kind="train")[0]) == set(ids)
    assert set(listed(model="a")[0]) == {ids[0], ids[2]}
    assert listed(model="a", state="running") == ([], False)
    assert set(listed(model=["a", "b"], state=["running", "queued"])[0]) == set(ids)
    assert set(listed(kind=["train", "validate"], dataset=dataset)[0]) > set(ids)
    first, more = listed(kind="train", limit=2)
    rest, no_more = listed(kind="train", limit=2, after=first[-1])
    assert (more, no_more) == (True, False)
    assert sorted(first + rest) == sorted(ids)
    check_problem(client.get(JOBS, params={"state": ["queued", "asleep"]}), 422, "state", "asleep")
    check_problem(client.get(JOBS, params={"kind": "export"}), 422, "kind", "'validate', 'train' or 'plan'", "export")
    check_problem(client.get(JOBS, params={"limit": 0}), 422, "limit")
    check_problem(client.get(JOBS, params={"after": "job_none"}), 400, "job_none")


def test_events_come_page_by_page(client: Client, dataset: str) -> None:
    this = create(client, dataset)["id"]
    client.post(f"{JOBS}/{this}/cancel")
    first = client.get(f"{JOBS}/{this}/events", params={"limit": 1}).json()
    assert ([event["type"] for event in first["data"]], first["has_more"]) == (["queued"], True)
    assert first["data"][0]["at"].endswith("Z")
    rest = client.get(f"{JOBS}/{this}/events", params={"after": first["data"][0]["id"]}).json()
    assert ([event["type"] for event in rest["data"]], rest["has_more"]) == (["cancelled"], False)
    check_problem(client.get(f"{JOBS}/job_none/events"), 404, "job_none")
    check_problem(client.get(f"{JOBS}/{this}/events", params={"after": "-1"}), 422, "after")


def test_names_and_ids_that_no_database_could_hold(start: StartClient, database_url: str, pictures_zip: bytes) -> None:
    client = start(database_url=database_url)
    check_problem(client.get(JOBS, params={"model": "\0"}), 422, "model", "NUL")
    check_problem(client.get(f"{JOBS}/%00"), 422, "job", "NUL")
    check_problem(client.get("/api/v1/datasets", params={"after": "\0"}), 422, "after", "NUL")
    check_problem(client.post(JOBS, json={"dataset": "\0", "model": "signs"}), 422, "dataset", "NUL")
    check_problem(client.post("/api/v1/datasets", content=pictures_zip, params={"name": "\0"}), 422, "name", "NUL")
    dataset = client.post("/api/v1/datasets", content=pictures_zip, params={"name": "größe 📷"}).json()
    assert dataset["name"] == "größe 📷"
    client.validate()
    metadata = {"\0": "\0", "größe": ["📷", 1.5, None]}
    job = create(client, dataset["id"], metadata=metadata)
    assert client.get(JOBS, params={"kind": "train"}).json()["data"] == [job]
    assert job["metadata"] == metadata


def test_only_a_job_that_runs_says_how_long_it_will_take(client: Client) -> None:
    jobs = client.services.jobs
    this = jobs.create("train", model="signs").id
    job = jobs.claim("training", "test")
    assert job is not None
    jobs.progress(this, job.fence, {"phase": "train", "epoch": 2, "eta_seconds": 12.5})
    assert client.get(f"{JOBS}/{this}").json()["progress"]["eta_seconds"] == 12.5
    jobs.succeed(this, job.fence)
    progress = client.get(f"{JOBS}/{this}").json()["progress"]
    assert (progress["phase"], progress["epoch"], progress["eta_seconds"]) == ("train", 2, None)
