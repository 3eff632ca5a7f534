"""What the engine's metrics say, as Prometheus reads them."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from graft.engine.metrics import EngineMetrics

Series = dict[tuple[str, tuple[str, ...]], float]


def read(registry: CollectorRegistry) -> Series:
    """Every sample by its name and its labels' values; those are in the order of the labels' names."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [sample for family in families for sample in family.samples]
    return {(each.name, tuple(each.labels[name] for name in sorted(each.labels))): each.value for each in samples}


def test_what_has_not_happened_yet_is_zero_and_not_absent() -> None:
    registry = CollectorRegistry()
    EngineMetrics(registry)
    series = read(registry)
    for reason in ("busy", "late", "left", "stopping"):
        assert series["graft_engine_rejections_total", (reason,)] == 0
    for stage in ("queue", "decode", "trunk", "branches"):
        assert series["graft_engine_stage_seconds_count", (stage,)] == 0
    for name in ("graft_engine_batch_pictures_count", "graft_engine_waiting_pictures", "graft_models_loaded"):
        assert series[name, ()] == 0


def test_what_happens_is_counted() -> None:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry)
    for pictures in (1, 3, 8):
        metrics.batch(pictures)
    metrics.stage("trunk", 0.2)
    metrics.stage("trunk", 0.4)
    metrics.waiting(7)
    metrics.waiting(5)
    metrics.rejected("late")
    metrics.models(3, 4096)
    metrics.loaded(0.5)
    metrics.evicted()
    series = read(registry)
    below = {size: series["graft_engine_batch_pictures_bucket", (f"{size}.0",)] for size in (1, 2, 4, 8, 16, 32, 64)}
    assert below == {1: 1, 2: 1, 4: 2, 8: 3, 16: 3, 32: 3, 64: 3}
    assert series["graft_engine_batch_pictures_sum", ()] == 12
    assert series["graft_engine_stage_seconds_count", ("trunk",)] == 2
    assert round(series["graft_engine_stage_seconds_sum", ("trunk",)], 6) == 0.6
    assert series["graft_engine_stage_seconds_count", ("queue",)] == 0
    assert series["graft_engine_waiting_pictures", ()] == 5
    assert series["graft_engine_rejections_total", ("late",)] == 1
    assert (series["graft_models_loaded", ()], series["graft_models_loaded_bytes", ()]) == (3, 4096)
    assert series["graft_model_load_seconds_count", ()] == 1
    assert series["graft_model_evictions_total", ()] == 1


def test_a_version_has_a_series_while_it_is_in_quarantine_and_no_longer() -> None:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry)

    def quarantined() -> set[tuple[str, ...]]:
        return {labels for name, labels in read(registry) if name == "graft_model_quarantined"}

    assert quarantined() == set()
    for version in (3, 4, 3):
        metrics.quarantined("signs", version, True)
    assert quarantined() == {("signs", "3"), ("signs", "4")}
    for version in (3, 3, 5):
        metrics.quarantined("signs", version, False)
    assert quarantined() == {("signs", "4")}


def test_without_a_registry_each_has_its_own() -> None:
    one, another = EngineMetrics(), EngineMetrics()
    one.batch(1)
    another.batch(1)
