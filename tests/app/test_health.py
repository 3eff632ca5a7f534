"""Ready or not, and why."""

from tests.app.conftest import Client, StartClient, check_problem


def test_live_and_ready(client: Client) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
    ready = {"status": "ready", "classifier": "verified", "precision": "float32"}
    assert client.get("/health/ready").json() == ready


def test_ready_without_the_classifier(start: StartClient) -> None:
    answer = start(classifier=False).get("/health/ready")
    assert (answer.status_code, answer.json()["classifier"]) == (200, "missing")


def test_not_ready_once_it_drains_while_the_rest_goes_on(client: Client) -> None:
    client.services.drain.draining = True
    answer = client.get("/health/ready")
    problem = check_problem(answer, 503, "shutting down")
    assert problem["reasons"] == ["The service is shutting down."]
    assert int(answer.headers["Retry-After"]) > 0
    assert client.get("/health/live").status_code == 200
