"""What Prometheus is told over HTTP, and that docs/metrics.md lists it."""

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from anyio.from_thread import start_blocking_portal
from fastapi.routing import iter_route_contexts
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.samples import Sample
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from starlette.types import Message, Receive, Scope, Send

from app.main import create_app
from app.metrics import OTHER, Measured, Metrics, Scrapes
from graft.database import connect, migrate
from graft.engine.metrics import EngineMetrics
from graft.errors import MissingWeights, Unavailable
from graft.jobs import Jobs, State
from graft.settings import Settings
from graft.stores import Stores
from tests.app.brightness import BrightnessPredictor
from tests.app.conftest import Client, StartClient, check_problem
from tests.drawing import jpeg

# As Prometheus 3 sends it.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) *\| (.+) \|$", re.MULTILINE)


def listed() -> list[tuple[str, ...]]:
    """The rows of the docs' table: name, type, labels, meaning."""
    return ROW.findall(DOCS.read_text())


def scrape(client: Client, **options: object) -> list[Sample]:
    answer = client.get("/metrics", **options)
    assert answer.status_code == 200, answer.text
    return [sample for family in read_text(answer.text) for sample in family.samples]


def value(client: Client, name: str, **labels: str) -> float | None:
    """The one sample of this name with these labels, and no others; None where there is none."""
    found = [each.value for each in scrape(client) if each.name == name and each.labels == labels]
    assert len(found) < 2
    return found[0] if found else None


def answered(client: Client) -> dict[tuple[str, str, str], float]:
    """How many requests, by route, method and status; scrapes are left out."""
    counts = [each for each in scrape(client) if each.name == "graft_http_request_seconds_count"]
    labelled = [((c.labels["route"], c.labels["method"], c.labels["status"]), c.value) for c in counts]
    return {labels: count for labels, count in labelled if labels[0] != "/metrics"}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=first", OPENMETRICS),
        ("text/plain", TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        ("*/*", TEXT),
        ("application/json", TEXT),
    ],
)
def test_the_format_is_the_one_that_the_caller_prefers(client: Client, accept: str, content_type: str) -> None:
    answer = client.get("/metrics", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    read = read_openmetrics if content_type == OPENMETRICS else read_text
    names = {family.name for family in read(answer.text)}
    assert {"graft_engine_batch_pictures", "graft_ready", "graft_jobs", "python_info", "python_gc_collections"} <= names


def test_the_process_is_described(client: Client) -> None:
    if not Path("/proc/self/stat").is_file():
        pytest.skip("no /proc here")
    memory = value(client, "process_resident_memory_bytes")
    assert memory is not None
    assert memory > 2**20


def test_requests_are_counted_by_the_routes_template(client: Client) -> None:
    for model in ("signs", "letters"):
        client.get(f"/api/v1/models/{model}")
    client.post("/api/v1/models/vgg16/predict", content=jpeg("discs", 0))
    client.get("/health/live")
    client.get("/docs")
    assert answered(client) == {
        ("/api/v1/models/{model}", "GET", "404"): 2,
        ("/api/v1/models/{model}/predict", "POST", "200"): 1,
        ("/health/live", "GET", "200"): 1,
        ("/docs", "GET", "200"): 1,
    }


def test_what_callers_make_up_has_one_label(client: Client) -> None:
    for number in range(3):
        client.get(f"/{number}")
        client.get(f"/api/v1/{number}")
        client.request(f"BREW{number}", "/api/v1/models")
        client.request(f"BREW{number}", f"/{number}")
    assert answered(client) == {
        (OTHER, "GET", "404"): 6,
        ("/api/v1/models", OTHER, "405"): 3,
        (OTHER, OTHER, "404"): 3,
    }


def test_every_route_has_a_label_of_its_own(client: Client) -> None:
    endpoints: dict[object, set[str | None]] = {}
    for route in iter_route_contexts(client.app.routes):
        endpoints.setdefault(route.endpoint, set()).add(route.path)
    assert len(endpoints) > 20
    assert all(len(paths) == 1 for paths in endpoints.values())


def test_refusals_and_failures_are_counted(start: StartClient) -> None:
    client = start(api_keys=frozenset({"secret"}))
    client.get("/api/v1/models")
    services = client.services
    del client.app.state.services
    client.get("/health/ready")
    client.app.state.services = services
    found = scrape(client, headers={"X-API-Key": "secret"})
    counts = {
        (each.labels["route"], each.labels["status"])
        for each in found
        if each.name == "graft_http_request_seconds_count"
    }
    assert counts == {("/api/v1/models", "401"), ("/health/ready", "500")}


def test_a_stream_is_counted_when_it_begins_and_passes_as_it_comes() -> None:
    metrics = Metrics()
    seen: list[Message] = []
    counted: list[float | None] = []

    def count() -> float | None:
        labels = {"route": OTHER, "method": "GET", "status": "200"}
        return metrics.registry.get_sample_value("graft_http_request_seconds_count", labels)

    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        messages: list[Message] = [
            {"type": "http.response.start", "status": 200, "headers": []},
            {"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True},
            {"type": "http.response.body", "body": b"", "more_body": False},
        ]
        for message in messages:
            await send(message)
            assert seen[-1] is message
            counted.append(count())

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        seen.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(Measured(stream, metrics.requests, [])(scope, receive, send))
    assert counted == [1, 1, 1]


def test_a_key_is_asked_where_keys_are_set(start: StartClient) -> None:
    client = start(api_keys=frozenset({"secret"}))
    check_problem(client.get("/metrics"), 401, "X-API-Key")
    assert client.get("/metrics", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert client.get("/health/live").status_code == 200


def test_readiness(client: Client) -> None:
    assert value(client, "graft_ready") == 1
    client.services.drain.draining = True
    assert (value(client, "graft_ready"), client.get("/health/ready").status_code) == (0, 503)


def test_jobs_that_wait_or_run(client: Client) -> None:
    jobs = client.services.jobs
    assert value(client, "graft_jobs", queue="training", state="queued") == 0
    for _ in range(2):
        jobs.create("train", model="signs")
    jobs.claim("training", "test")
    assert value(client, "graft_jobs", queue="training", state="queued") == 1
    assert value(client, "graft_jobs", queue="training", state="running") == 1
    assert value(client, "graft_jobs", queue="datasets", state="queued") == 0


class AwayJobs(Jobs):
    """Its database does not answer."""

    def unfinished(self) -> dict[tuple[str, State], int]:
        raise OperationalError("SELECT", {}, Exception("the server closed the connection"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'graft.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


def test_a_database_that_is_away_costs_its_own_series_alone(client: Client, database: Engine) -> None:
    before = {sample.name for sample in scrape(client)}
    scrapes = Scrapes(Metrics().registry, AwayJobs(database))
    client.app.state.services = replace(client.services, scrapes=scrapes)
    assert before - {sample.name for sample in scrape(client)} == {"graft_jobs"}


class StuckJobs(Jobs):
    """Its database answers once `gate` opens."""

    def __init__(self, engine: Engine, gate: threading.Event) -> None:
        super().__init__(engine)
        self._gate = gate
        self.asked = 0

    def unfinished(self) -> dict[tuple[str, State], int]:
        self.asked += 1
        self._gate.wait()
        return super().unfinished()


def test_a_database_that_hangs_holds_no_scrape_up_and_is_asked_once(database: Engine) -> None:
    gate = threading.Event()
    jobs = StuckJobs(database, gate)

    async def names(scrapes: Scrapes) -> set[str]:
        return {family.name for family in (await scrapes.take(ready=True)).collect()}

    async def script() -> None:
        scrapes = Scrapes(CollectorRegistry(), jobs, patience=0.01)
        try:
            assert [await names(scrapes) for _ in range(3)] == [{"graft_ready"}] * 3
            assert jobs.asked == 1
        finally:
            gate.set()
        while await names(scrapes) != {"graft_ready", "graft_jobs"}:
            pass

    asyncio.run(script())


def test_the_engines_metrics_outlive_a_start_that_failed(tmp_path: Path) -> None:
    handed: list[EngineMetrics] = []

    def build(_settings: Settings, stores: Stores, metrics: EngineMetrics) -> BrightnessPredictor:
        handed.append(metrics)
        metrics.rejected("busy")
        if len(handed) == 1:
            raise MissingWeights("No.")
        return BrightnessPredictor(stores.registry)

    app = create_app(Settings(home=tmp_path / "home"), predictor=build)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(app.router.lifespan_context(app)):
        client = Client(portal, app)
        assert value(client, "graft_engine_rejections_total", reason="late") == 0
        while client.services.engine.obstacle():
            with suppress(Unavailable):
                client.services.engine.get()  # asks for another try
        assert value(client, "graft_engine_rejections_total", reason="busy") == 2
    assert handed[0] is handed[1]


@pytest.fixture
def families(database: Engine) -> Sequence[Metric]:
    """All that a scrape may have in it, but what prometheus_client says of every process."""
    metrics = Metrics()
    metrics.engine.quarantined("signs", 3, True)
    metrics.requests.labels("/health/live", "GET", 200)
    snapshot = asyncio.run(Scrapes(metrics.registry, Jobs(database)).take(ready=True))
    return [family for family in snapshot.collect() if not family.name.startswith(("process_", "python_"))]


def test_the_docs_list_every_series_as_it_is(families: Sequence[Metric]) -> None:
    found = []
    for family in families:
        labels = dict.fromkeys(f"`{label}`" for sample in family.samples for label in sample.labels if label != "le")
        name = family.name + ("_total" if family.type == "counter" else "")
        found.append((name, family.type, ", ".join(labels), family.documentation))
    assert [(*row[:3], row[3].partition(".")[0] + ".") for row in listed()] == found


def test_the_docs_ask_for_series_that_are_there(families: Sequence[Metric]) -> None:
    names = {sample.name for family in families for sample in family.samples}
    asked = set(re.findall(r"\bgraft_\w+", DOCS.read_text())) - {row[0] for row in listed()}
    assert asked
    assert asked <= names


def test_the_docs_tell_prometheus_to_send_the_key(start: StartClient) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    (job,) = yaml.safe_load(text)["scrape_configs"]
    key = job["authorization"]["credentials"]
    headers = {"Authorization": f"{job['authorization']['type']} {key}"}
    assert start(api_keys=frozenset({key})).get(job["metrics_path"], headers=headers).status_code == 200
