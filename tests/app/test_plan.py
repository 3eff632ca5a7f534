"""Plans over HTTP: asked for, waited for, answered in the job's result."""

from typing import Any

import pytest

from tests.app.conftest import Client, check_problem
from tests.app.test_datasets import DATASETS


@pytest.fixture
def dataset(client: Client, pictures_zip: bytes) -> str:
    """Id of a dataset that is still validating."""
    this: str = client.post(DATASETS, content=pictures_zip).json()["id"]
    return this


def test_a_plan_is_a_job_on_the_dataset_s_revision(client: Client, dataset: str) -> None:
    client.validate()
    answer = client.post(f"{DATASETS}/{dataset}/plan")
    job = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/v1/jobs/{job['id']}")
    assert int(answer.headers["Retry-After"]) > 0
    revision = client.get(f"{DATASETS}/{dataset}").json()["revision"]
    assert (job["kind"], job["state"], job["dataset"], job["revision"]) == ("plan", "queued", dataset, revision)
    assert (job["model"], job["recipe"], job["result"]) == (None, {"preset": "auto"}, None)
    assert client.get("/api/v1/jobs", params={"kind": "plan"}).json()["data"] == [job]
    jobs = client.services.jobs
    claimed = jobs.claim("training", "test")
    assert claimed is not None
    jobs.succeed(claimed.id, claimed.fence, result={"chosen": {"cut": "block5_pool"}})
    assert client.get(f"/api/v1/jobs/{job['id']}").json()["result"] == {"chosen": {"cut": "block5_pool"}}


def test_what_is_fixed_beforehand_goes_along(client: Client, dataset: str) -> None:
    asked = {"time_budget": 600, "hidden_units": [128]}
    assert client.post(f"{DATASETS}/{dataset}/plan", json=asked).json()["recipe"] == {"preset": "auto", **asked}


def test_it_waits_for_the_validation(client: Client, dataset: str) -> None:
    job = client.post(f"{DATASETS}/{dataset}/plan", json={}).json()
    assert (job["state"], job["revision"]) == ("queued", None)
    assert client.services.jobs.claim("training", "test") is None
    client.validate()
    claimed = client.services.jobs.claim("training", "test")
    assert claimed is not None
    assert (claimed.id, claimed.revision) == (job["id"], client.get(f"{DATASETS}/{dataset}").json()["revision"])


def test_the_same_request_makes_one_plan(client: Client, dataset: str) -> None:
    key = {"Idempotency-Key": "a"}
    first, again = (client.post(f"{DATASETS}/{dataset}/plan", json={}, headers=key) for _ in range(2))
    assert first.json() == again.json()
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    other = client.post(f"{DATASETS}/{dataset}/plan", json={"epochs": 3}, headers=key)
    check_problem(other, 422, "Idempotency-Key")


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"preset": "fine-tuning"}, 422, ["of the preset auto", "received preset fine-tuning"]),
        ({"init": "signs:1"}, 422, ["starts from no version"]),
        ({"eposch": 3}, 422, ["eposch"]),
        ({"time_budget": 1}, 422, ["recipe.time_budget"]),
        ([1], 422, ["recipe must be a preset's name or an object"]),
    ],
)
def test_what_cannot_be_planned(client: Client, dataset: str, asked: Any, status: int, words: list[str]) -> None:
    check_problem(client.post(f"{DATASETS}/{dataset}/plan", json=asked), status, *words)
    check_problem(client.post(f"{DATASETS}/ds_none/plan", json={}), 404, "ds_none")
    assert client.get("/api/v1/jobs", params={"kind": "plan"}).json()["data"] == []
