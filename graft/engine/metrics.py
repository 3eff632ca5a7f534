"""What the engine measures of itself, as Prometheus has it. docs/metrics.md says what each series means."""

from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from graft.engine.batch_size import BATCH_SIZES

Stage = Literal["queue", "decode", "trunk", "branches"]
Rejection = Literal["busy", "late", "left", "stopping"]

# From a small picture's decoding to the deadline of a prediction, and somewhat beyond.
SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class EngineMetrics:
    """Counters of one engine, which outlive its restarts. Safe to call from threads.

    registry: where they are read; one EngineMetrics for each. None: one of their own, which nobody reads.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = CollectorRegistry() if registry is None else registry
        self._batch = Histogram(
            "graft_engine_batch_pictures", "Pictures of a batch.", buckets=BATCH_SIZES, registry=registry
        )
        self._stage = Histogram(
            "graft_engine_stage_seconds",
            "Time that predictions take, stage by stage.",
            ["stage"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._waiting = Gauge(
            "graft_engine_waiting_pictures", "Pictures that wait for a place in a batch.", registry=registry
        )
        self._rejected = Counter(
            "graft_engine_rejections_total", "Predictions that were refused or given up.", ["reason"], registry=registry
        )
        self._models = Gauge("graft_models_loaded", "Models in memory.", registry=registry)
        self._bytes = Gauge("graft_models_loaded_bytes", "Weights of the models in memory.", registry=registry)
        self._load = Histogram(
            "graft_model_load_seconds",
            "Time to load a version and to warm it up.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._evicted = Counter(
            "graft_model_evictions_total", "Models that left memory to make room for others.", registry=registry
        )
        self._quarantined = Gauge(
            "graft_model_quarantined",
            "Versions that are kept from answering, as they are unfit.",
            ["model", "version"],
            registry=registry,
        )
        # From the start, so that the first rejection is an increase like any other.
        for stage in get_args(Stage):
            self._stage.labels(stage)
        for reason in get_args(Rejection):
            self._rejected.labels(reason)

    def batch(self, pictures: int) -> None:
        """A batch of so many pictures runs."""
        self._batch.observe(pictures)

    def stage(self, name: Stage, seconds: float) -> None:
        """How long a picture was in the queue or in decoding; how long a batch was in the trunk or in its branches."""
        self._stage.labels(name).observe(seconds)

    def waiting(self, pictures: int) -> None:
        """So many pictures are in the queue now."""
        self._waiting.set(pictures)

    def rejected(self, reason: Rejection) -> None:
        """A request for a prediction ends without one.

        busy: refused at once, as it could not be ready in time; late: its deadline passed; left: its caller went away;
        stopping: the service is.
        """
        self._rejected.labels(reason).inc()

    def models(self, count: int, nbytes: int) -> None:
        """So many models are in memory now, with so many bytes of weights."""
        self._models.set(count)
        self._bytes.set(nbytes)

    def loaded(self, seconds: float) -> None:
        """A version was loaded and warmed up, in so many seconds."""
        self._load.observe(seconds)

    def evicted(self) -> None:
        """A model left memory to make room."""
        self._evicted.inc()

    def quarantined(self, model: str, version: int, yes: bool) -> None:
        """A version is in quarantine from now on, or no more; a series is there for each that is."""
        if yes:
            self._quarantined.labels(model, str(version)).set(1)
        else:
            self._quarantined.remove(model, str(version))
