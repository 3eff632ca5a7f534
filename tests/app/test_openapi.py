"""The OpenAPI document: every route can be understood from it alone, and its examples are true to their schemas."""

from typing import Any

import pytest

from app import examples, prediction_schemas, schemas
from tests.app.conftest import Client

STATUS_OF = {
    "post /api/v1/jobs": "202",
    "post /api/v1/datasets": "202 201",
    "post /api/v1/datasets/{dataset}/commit": "202",
    "post /api/v1/datasets/{dataset}/plan": "202",
    "post /api/v1/models/{model}/fine-tune": "202",
    "get /api/v1/jobs/{job}/events": "200 204",
    "delete /api/v1/datasets/{dataset}/files": "200",
}


def resolve(document: dict[str, Any], node: Any) -> Any:
    """The node with every $ref replaced by what it points at."""
    if isinstance(node, dict):
        if "$ref" in node:
            target = document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            return resolve(document, target)
        return {key: resolve(document, value) for key, value in node.items()}
    return [resolve(document, each) for each in node] if isinstance(node, list) else node


def has_example(node: Any) -> bool:
    if isinstance(node, dict):
        return bool({"example", "examples"} & set(node)) or any(map(has_example, node.values()))
    return isinstance(node, list) and any(map(has_example, node))


def test_every_route_has_a_summary_and_examples_of_what_goes_in_and_out(client: Client) -> None:
    document = client.get("/openapi.json").json()
    seen = 0
    for path, operations in document["paths"].items():
        for method, raw in operations.items():
            operation, route = resolve(document, raw), f"{method} {path}"
            seen += 1
            assert operation["summary"], route
            assert operation["tags"], route
            success = {status: answer for status, answer in operation["responses"].items() if status < "300"}
            assert " ".join(success) == STATUS_OF.get(route, "204" if method == "delete" else "200"), route
            for status, answer in success.items():
                assert has_example(answer) or "image/png" in answer.get("content", {}) or status == "204", route
            if "requestBody" in operation:
                assert has_example(operation["requestBody"]) or "predict" in path, route
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    assert has_example(parameter), f"{route} {parameter['name']}"
    assert seen > 20


def test_every_failure_is_documented_as_a_problem(client: Client) -> None:
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            failures = {s: a for s, a in resolve(document, operation)["responses"].items() if s >= "400"}
            if path.startswith("/api/"):
                assert {"401", "422", "500"} <= set(failures), f"{method} {path}"
            for status, answer in failures.items():
                (content_type,) = answer["content"]
                assert content_type == "application/problem+json", f"{method} {path} {status}"
                assert set(answer["content"][content_type]["schema"]["required"]) == {
                    "type",
                    "title",
                    "status",
                    "detail",
                    "error",
                }


def test_keys_are_documented(client: Client) -> None:
    document = client.get("/openapi.json").json()
    assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {"http", "apiKey"}
    assert document["paths"]["/api/v1/jobs"]["post"]["security"]
    assert "security" not in document["paths"]["/health/live"]["get"]


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        (schemas.Problem, examples.PROBLEM),
        (schemas.Ready, examples.READY),
        (prediction_schemas.Prediction, examples.PREDICTION),
        (prediction_schemas.Predictions, examples.PREDICTIONS),
        (prediction_schemas.Instances, examples.INSTANCES),
        (prediction_schemas.Embeddings, examples.EMBEDDINGS),
        (schemas.Model, examples.MODEL),
        (schemas.DatasetAnswer, examples.DATASET),
        (schemas.JobAnswer, examples.JOB),
        (schemas.EventAnswer, examples.EVENT),
    ],
)
def test_examples_say_all_that_their_schemas_say_and_nothing_else(schema: Any, example: dict[str, Any]) -> None:
    assert schema.model_validate(example).model_dump(mode="json") == example
