"""The service's metrics for Prometheus. docs/metrics.md says what each series means."""

import asyncio
import time
from collections.abc import Mapping, Sequence
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
from graft.jobs import Jobs, State

PATIENCE_SECONDS: Final = 1.0  # Prometheus gives a scrape ten
# What callers can make up has one label for all of it, as each label costs memory here and in Prometheus for good.
OTHER: Final = "other"
Counts = Mapping[tuple[str, State], int]


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

    The database is asked one question at a time, and waited for `patience` seconds. While it does not answer, its
    series are left out, and the others are there.
    """

    def __init__(self, registry: CollectorRegistry, jobs: Jobs, *, patience: float = PATIENCE_SECONDS) -> None:
        self._registry = registry
        self._jobs = jobs
        self._patience = patience
        self._thread = anyio.CapacityLimiter(1)  # not one of those that routes may all be using
        self._question: asyncio.Task[Counts | None] | None = None

    async def take(self, *, ready: bool) -> Snapshot:
        """ready: whether the service answers predictions."""
        now = [GaugeMetricFamily("graft_ready", "Whether predictions are answered, as in /health/ready.", ready)]
        if counts := await self._unfinished():
            now.append(GaugeMetricFamily("graft_jobs", "Jobs that wait or run.", labels=["queue", "state"]))
            for pair, count in counts.items():
                now[-1].add_metric(pair, count)
        return Snapshot((*self._registry.collect(), *now))

    async def _unfinished(self) -> Counts | None:
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._ask())
        await asyncio.wait([self._question], timeout=self._patience)
        return self._question.result() if self._question.done() else None

    async def _ask(self) -> Counts | None:
        try:
            return await anyio.to_thread.run_sync(self._jobs.unfinished, limiter=self._thread, abandon_on_cancel=True)
        except SQLAlchemyError:
            return None
