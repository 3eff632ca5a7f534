"""The registry over HTTP."""

from dataclasses import replace

import pytest

from app.predictor import Predicts
from app.warmup import Warmup
from tests.app.conftest import Client, StartClient, check_problem, publish

PNG = b"\x89PNG\r\n\x1a\n"


def test_vgg16_is_a_model_like_any_other(client: Client) -> None:
    vgg16 = {
        "name": "vgg16",
        "versions": [{"version": 1, "created_at": None, "status": "available", "problem": None, "metrics": None}],
        "aliases": {"stable": 1},
    }
    assert client.get("/api/v1/models").json() == {"data": [vgg16], "has_more": False}
    assert client.get("/api/v1/models/vgg16").json() == vgg16
    card = client.get("/api/v1/models/vgg16/versions/1").json()
    assert card["frozen_parameters"] == 138_357_544  # Keras' own count of VGG16
    assert (card["cut"], card["tail"], len(card["classes"])) == ("block5_pool", [], 1000)
    assert sum(layer["parameters"] for layer in card["layers"]) == 138_357_544
    assert card["temperature"] == 1
    assert (card["input"]["precision"], card["served_precision"]) == ("float32", "float32")
    check_problem(client.get("/api/v1/models/vgg16/versions/2"), 404, "version 1")


def test_vgg16_without_its_classifier_is_listed_as_such(start: StartClient) -> None:
    answer = start(classifier=False).get("/api/v1/models/vgg16").json()
    assert answer["versions"][0]["status"] == "missing weights"


def test_a_trained_model(client: Client) -> None:
    client.publish("signs")
    client.publish("signs")
    answer = client.get("/api/v1/models/signs").json()
    assert [version["version"] for version in answer["versions"]] == [1, 2]
    assert answer["versions"][0] == {
        "version": 1,
        "created_at": "2026-11-24T09:30:00Z",
        "status": "available",
        "problem": None,
        "metrics": {"test": {"accuracy": 0.9}},
    }
    assert answer["aliases"] == {"stable": 2}
    card = client.get("/api/v1/models/signs/versions/1").json()
    assert (card["model"], card["version"], card["classes"]) == ("signs", 1, ["discs", "stripes", "triangles"])
    assert card["created_at"] == "2026-11-24T09:30:00Z"
    assert card["served_precision"] == card["input"]["precision"] == "float32"


def test_the_report_of_a_version(client: Client) -> None:
    client.publish("signs")
    report = client.get("/api/v1/models/signs/versions/1/report")
    assert report.json() == {"test": {"accuracy": 0.9}}
    assert report.headers["content-type"] == "application/json"
    for name in ("confusion_matrix.png", "learning_curves.png"):
        picture = client.get(f"/api/v1/models/signs/versions/1/report/{name}")
        assert picture.headers["content-type"] == "image/png"
        assert picture.content.startswith(PNG)
    check_problem(client.get("/api/v1/models/signs/versions/2/report"), 404)
    check_problem(client.get("/api/v1/models/signs/versions/2/report/confusion_matrix.png"), 404, "version 2")
    check_problem(client.get("/api/v1/models/vgg16/versions/1/report"), 404, "built in and has none")


@pytest.mark.parametrize(
    ("path", "accept"), [("/report.html", "*/*"), ("", "text/html,application/xhtml+xml,*/*;q=0.8")]
)
def test_the_report_s_page_can_run_and_load_nothing(client: Client, path: str, accept: str) -> None:
    client.publish("signs")
    page = client.get(f"/api/v1/models/signs/versions/1/report{path}", headers={"Accept": accept})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert page.text.startswith("<!DOCTYPE html>")
    assert page.headers.get("vary") == (None if path else "Accept")


@pytest.mark.parametrize("name", ["nothing.png", "..%2Fmodel.json", "model.json", "%2e%2e%2fweights.safetensors"])
def test_a_report_has_no_other_files(client: Client, name: str) -> None:
    client.publish("signs")
    check_problem(client.get(f"/api/v1/models/signs/versions/1/report/{name}"), 404)


def test_a_report_without_a_confusion_matrix_says_why(client: Client) -> None:
    publish(client.services.registry, "signs", 1, "job_a", report=["learning_curves.png"])
    report = "/api/v1/models/signs/versions/1/report"
    assert client.get(f"{report}/learning_curves.png").status_code == 200
    check_problem(client.get(f"{report}/confusion_matrix.png"), 404, "neither validation nor test pictures")


def test_a_report_without_a_page_is_numbers_for_everyone(client: Client) -> None:
    publish(client.services.registry, "signs", 1, "job_a", report=[])
    answer = client.get("/api/v1/models/signs/versions/1/report", headers={"Accept": "text/html"})
    assert answer.json() == {"test": {"accuracy": 0.9}}
    missing = client.get("/api/v1/models/signs/versions/2/report", headers={"Accept": "text/html"})
    check_problem(missing, 404, "version 2")


def test_models_are_listed_page_by_page(client: Client) -> None:
    for name in ("signs", "animals", "weeds"):
        client.publish(name)
    first = client.get("/api/v1/models", params={"limit": 3}).json()
    assert ([model["name"] for model in first["data"]], first["has_more"]) == (["animals", "signs", "vgg16"], True)
    rest = client.get("/api/v1/models", params={"limit": 3, "after": "vgg16"}).json()
    assert ([model["name"] for model in rest["data"]], rest["has_more"]) == (["weeds"], False)
    some = client.get("/api/v1/models", params={"prefix": "s"}).json()
    assert ([model["name"] for model in some["data"]], some["has_more"]) == (["signs"], False)
    none = client.get("/api/v1/models", params={"prefix": "s", "after": "vgg16"}).json()
    assert none == {"data": [], "has_more": False}


@pytest.mark.parametrize("things", ["models", "jobs", "datasets"])
def test_every_list_refuses_an_after_that_is_not_in_it(client: Client, things: str) -> None:
    answer = client.get(f"/api/v1/{things}", params={"after": "nothing"})
    check_problem(answer, 400, "`after` must be the", f"of a {things[:-1]}", "received 'nothing'")


def test_an_alias_moves(client: Client) -> None:
    client.publish("signs")
    client.publish("signs")
    answer = client.request("PUT", "/api/v1/models/signs/aliases/stable", json={"version": 1})
    assert answer.json()["aliases"] == {"stable": 1}
    assert client.request("PUT", "/api/v1/models/signs/aliases/canary", json={"version": 2}).status_code == 200
    assert client.get("/api/v1/models/signs").json()["aliases"] == {"canary": 2, "stable": 1}


def test_an_alias_is_removed(client: Client) -> None:
    client.publish("signs")
    client.publish("signs")
    stable = "/api/v1/models/signs/aliases/stable"
    client.request("PUT", stable, json={"version": 1})
    assert client.request("DELETE", stable).status_code == 204
    assert client.get("/api/v1/models/signs").json()["aliases"] == {"stable": 2}
    check_problem(client.request("DELETE", stable), 404, "must be set", "stable")
    check_problem(client.request("DELETE", "/api/v1/models/vgg16/aliases/stable"), 409, "built in")


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("signs/aliases/stable", {"version": 7}, 404, "7"),
        ("nobody/aliases/stable", {"version": 1}, 404, "nobody"),
        ("vgg16/aliases/stable", {"version": 1}, 409, "built in"),
        ("signs/aliases/No%20Name", {"version": 1}, 400, "No Name"),
        ("signs/aliases/stable", {"version": 0}, 422, "version"),
        ("signs/aliases/stable", {}, 422, "version is required"),
        ("signs/aliases/stable", {"version": 1, "force": True}, 422, "force"),
        ("signs/aliases/stable", [1], 422, "The body"),
    ],
)
def test_an_alias_that_cannot_move(client: Client, path: str, body: object, status: int, word: str) -> None:
    client.publish("signs")
    check_problem(client.request("PUT", f"/api/v1/models/{path}", json=body), status, word)


def test_delete_a_version_then_the_model(client: Client) -> None:
    client.publish("signs")
    client.publish("signs")
    assert client.request("DELETE", "/api/v1/models/signs/versions/2").status_code == 204
    assert client.get("/api/v1/models/signs").json()["aliases"] == {"stable": 1}
    check_problem(client.request("DELETE", "/api/v1/models/signs/versions/2"), 404)
    answer = client.request("DELETE", "/api/v1/models/signs")
    assert (answer.status_code, answer.content, "content-type" in answer.headers) == (204, b"", False)
    check_problem(client.get("/api/v1/models/signs"), 404, "signs")
    check_problem(client.request("DELETE", "/api/v1/models/signs"), 404, "there are vgg16; received 'signs'")
    check_problem(client.request("DELETE", "/api/v1/models/vgg16"), 409, "built in")


def test_a_damaged_version_is_named_and_not_served(client: Client) -> None:
    client.publish("signs")
    registry = client.app.state.services.registry
    registry.file("signs", 1, "model.json").write_text("{}")
    problem = check_problem(client.get("/api/v1/models/signs/versions/1"), 500, "model.json")
    assert problem["type"] == "urn:graft:error:corrupt-version"
    (version,) = client.get("/api/v1/models/signs").json()["versions"]
    assert version["status"] == "corrupt"
    assert version["problem"] == problem["detail"]


def test_a_version_in_quarantine_says_why(client: Client) -> None:
    client.publish("signs")
    client.publish("signs")
    client.predictor.broken["signs"] = {2: "Its answers must be finite; they are not."}
    first, second = client.get("/api/v1/models/signs").json()["versions"]
    assert (first["status"], first["problem"]) == ("available", None)
    assert (second["status"], second["problem"]) == ("quarantined", "Its answers must be finite; they are not.")
    assert second["metrics"] == first["metrics"]
    client.services.registry.file("signs", 2, "model.json").with_name("manifest.json").write_bytes(b"")
    second = client.get("/api/v1/models/signs").json()["versions"][1]
    assert second["status"] == "corrupt"
    assert second["problem"].startswith(
        "Every file of a version must match its manifest; manifest.json of 'signs' vers"
    )


def test_while_the_engine_loads_nobody_knows_how_models_are_served(client: Client) -> None:
    client.publish("signs")
    loading: Warmup[Predicts] = Warmup(lambda: client.predictor)  # never begun
    client.app.state.services = replace(client.services, engine=loading)
    assert client.get("/api/v1/models/signs").json()["versions"][0]["status"] == "available"
    assert client.get("/api/v1/models/signs/versions/1").json()["served_precision"] is None
    card = client.get("/api/v1/models/vgg16/versions/1").json()
    assert (card["status"], card["served_precision"], card["input"]["precision"]) == ("loading", None, None)
