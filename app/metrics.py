"""The service's metrics for Prometheus. docs/metrics.md says what each series means."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPMethod
from typing import Final

import anyio
import anyio.to_thread
from fastapi.routing import iter_route_contexts
from prometheus_client import CollectorRegistry, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graft.engine.metrics import SECONDS_BUCKETS, EngineMetrics
from graft.jobs import Jobs

PATIENCE_SECONDS: Final = 1.0  # Prometheus gives a scrape ten
# What callers can make up has one label for all of it, as each label costs memory here and in Prometheus for good.
OTHER: Final = "other"


class Metrics:
    """What one application counts, for as long as it lives, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.engine = EngineMetrics(self.registry)
        self.requests = Histogram(
            "graft_http_request_seconds",
            "Time from a request's headers to its answer's.",
            ["route", "method", "status"],
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )


class Measured:
    """Around every request: notes in `requests` how long its answer took to begin.

    An answer counts once it begins, as a stream of events ends hours later. routes: the application's.
    """

    def __init__(self, app: ASGIApp, requests: Histogram, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._requests = requests
        self._templates = {route.endpoint: route.path for route in iter_route_contexts(routes)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Known by now: the router has left the endpoint in the scope.
                route = self._templates.get(scope.get("endpoint"), OTHER)
                method = scope["method"] if scope["method"] in HTTPMethod.__members__ else OTHER
                self._requests.labels(route, method, message["status"]).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, send_measured)


@dataclass(frozen=True)
class Snapshot:
    """Every series at one moment, for prometheus_client to write down."""

    families: tuple[Metric, ...]

    def collect(self) -> tuple[Metric, ...]:
        return self.families


class Scrapes:
    """What Prometheus is told: what the application has counted, and what is looked up at that moment.

    The database is asked in one thread at most, for `patience` seconds. While it does not answer, its series are left
    out, and the others are there.
    """

    def __init__(self, registry: CollectorRegistry, jobs: Jobs, *, patience: float = PATIENCE_SECONDS) -> None:
        self._registry = registry
        self._jobs = jobs
        self._patience = patience
        self._thread = anyio.CapacityLimiter(1)

    async def take(self, *, ready: bool) -> Snapshot:
        """ready: whether the service answers predictions."""
        readiness = GaugeMetricFamily("graft_ready", "Whether predictions are answered, as in /health/ready.", ready)
        jobs = await self._unfinished()
        return Snapshot((*self._registry.collect(), readiness, *jobs))

    async def _unfinished(self) -> list[Metric]:
        family = GaugeMetricFamily("graft_jobs", "Jobs that wait or run.", labels=["queue", "state"])
        with anyio.move_on_after(self._patience):
            try:
                found = await anyio.to_thread.run_sync(
                    self._jobs.unfinished, limiter=self._thread, abandon_on_cancel=True
                )
            except SQLAlchemyError:
                return []
            for pair, count in found.items():
                family.add_metric(pair, count)
            return [family]
        return []
