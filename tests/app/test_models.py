"""The registry over HTTP."""

import pytest

from tests.app.conftest import Client, StartClient, check_problem

PNG = b"\x89PNG\r\n\x1a\n"


def test_vgg16_is_a_model_like_any_other(client: Client) -> None:
    vgg16 = {
        "name": "vgg16",
        "versions": [{"version": 1, "created_at": None, "status": "available", "metrics": None}],
        "aliases": {"stable": 1},
    }
    assert client.get("/api/v1/models").json() == {"data": [vgg16], "has_more": False}
    assert client.get("/api/v1/models/vgg16").json() == vgg16
    card = client.get("/api/v1/models/vgg16/versions/1").json()
    assert card["frozen_parameters"] == 138_357_544  # Keras' own count of VGG16
    assert (card["cut"], card["tail"], len(card["classes"])) == ("block5_pool", [], 1000)
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
        "metrics": {"test": {"accuracy": 0.9}},
    }
    assert answer["aliases"] == {"stable": 2}
    card = client.get("/api/v1/models/signs/versions/1").json()
    assert (card["model"], card["version"], card["classes"]) == ("signs", 1, ["discs", "stripes", "triangles"])


def test_the_report_of_a_version(client: Client) -> None:
    client.publish("signs")
    report = client.get("/api/v1/models/signs/versions/1/report")
    assert report.json() == {"test": {"accuracy": 0.9}}
    for name in ("confusion_matrix.png", "learning_curves.png"):
        picture = client.get(f"/api/v1/models/signs/versions/1/report/{name}")
        assert picture.headers["content-type"] == "image/png"
        assert picture.content.startswith(PNG)
    check_problem(client.get("/api/v1/models/signs/versions/2/report"), 404)
    check_problem(client.get("/api/v1/models/vgg16/versions/1/report"), 404)


def test_models_are_listed_page_by_page(client: Client) -> None:
    for name in ("signs", "animals", "weeds"):
        client.publish(name)
    first = client.get("/api/v1/models", params={"limit": 3}).json()
    assert ([model["name"] for model in first["data"]], first["has_more"]) == (["animals", "signs", "vgg16"], True)
    rest = client.get("/api/v1/models", params={"limit": 3, "after": "vgg16"}).json()
    assert ([model["name"] for model in rest["data"]], rest["has_more"]) == (["weeds"], False)


def test_an_alias_moves(client: Client) -> None:
    client.publish("signs")
    client.publish("signs")
    answer = client.request("PUT", "/api/v1/models/signs/aliases/stable", json={"version": 1})
    assert answer.json()["aliases"] == {"stable": 1}
    assert client.request("PUT", "/api/v1/models/signs/aliases/canary", json={"version": 2}).status_code == 200
    assert client.get("/api/v1/models/signs").json()["aliases"] == {"canary": 2, "stable": 1}


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
    check_problem(client.request("DELETE", "/api/v1/models/signs"), 404)
    check_problem(client.request("DELETE", "/api/v1/models/vgg16"), 409, "built in")


def test_a_damaged_version_is_named_and_not_served(client: Client) -> None:
    client.publish("signs")
    registry = client.app.state.services.registry
    registry.file("signs", 1, "model.json").write_text("{}")
    problem = check_problem(client.get("/api/v1/models/signs/versions/1"), 500, "model.json")
    assert problem["type"] == "urn:graft:error:corrupt-version"
    assert client.get("/api/v1/models/signs").json()["versions"][0]["status"] == "corrupt"
