"""Query parameters: what a route does not know is refused, with what it knows."""

import pytest

from tests.app.conftest import Client, check_problem


def test_every_route_of_the_api_refuses_what_it_does_not_know(client: Client) -> None:
    document = client.get("/openapi.json").json()
    seen = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/api/v1/"):
                continue
            seen += 1
            problem = check_problem(client.request(method.upper(), path, params={"nonsense": 1}), 422, "nonsense")
            known = sorted(each["name"] for each in operation.get("parameters", []) if each["in"] == "query")
            says = f"the query parameters {', '.join(known)};" if known else "no query parameters;"
            assert says in problem["detail"], f"{method} {path}"
    assert seen > 20


@pytest.mark.parametrize(
    ("path", "parameter"), [("/jobs?state=queued&states=failed", "states"), ("/models?limt=1", "limt")]
)
def test_a_misspelt_parameter_is_named(client: Client, path: str, parameter: str) -> None:
    problem = check_problem(client.get(f"/api/v1{path}"), 422, "after, ", "limit")
    assert problem["detail"].endswith(f"received {parameter}.")


def test_the_upload_by_put_knows_the_same_as_by_post(client: Client) -> None:
    for method in ("PUT", "POST"):
        check_problem(
            client.request(method, "/api/v1/datasets?validation_splt=0.5"), 422, "split_seed", "validation_splt"
        )


def test_a_parameter_in_the_path_is_none_of_the_query(client: Client) -> None:
    check_problem(client.get("/api/v1/models/vgg16", params={"model": "vgg16"}), 422, "received model")
