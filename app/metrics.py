"""The service's metrics for Prometheus. docs/metrics.md says what each series means."""

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from graft.engine.metrics import EngineMetrics


class Metrics:
    """One application's, for as long as it lives, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.engine = EngineMetrics(self.registry)
