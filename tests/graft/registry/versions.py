"""Versions to publish, small enough to make in no time."""

from pathlib import Path

import numpy as np

from graft.registry import ModelCard, Parameter, Registry, write_version
from graft.types import InputKey
from graft.vgg16.layers import HeadSpec

FILES = ["metrics.json", "model.json", "report/confusion_matrix.png", "weights.safetensors"]


def weights_of(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((512, 3), dtype=np.float32)
    return {"predictions/kernel": kernel, "predictions/bias": np.zeros(3, np.float32)}


def card_of(model: str, version: int, job: str) -> ModelCard:
    return ModelCard(
        model=model,
        version=version,
        created_at=1_795_000_000_000 + version,
        cut="block5_pool",
        tail=(),
        head=HeadSpec(pooling="avg", hidden_units=(), batch_norm=False, dropout=0.0, classes=3),
        classes=("discs", "stripes", "triangles"),
        input=InputKey(preprocessing="none"),
        trunk_digest="d9a2",
        parameters=(
            Parameter(name="predictions/kernel", shape=(512, 3), trainable=True, count=1536),
            Parameter(name="predictions/bias", shape=(3,), trainable=True, count=3),
        ),
        trainable_parameters=1539,
        frozen_parameters=14_714_688,
        recipe={"preset": "fine-tuning", "epochs": 2},
        dataset="ds_a",
        dataset_revision="f" * 64,
        job_id=job,
        metrics={"validation": {"accuracy": 0.5}, "test": None},
    )


def stage(registry: Registry, model: str, version: int, job: str = "") -> Path:
    staged = registry.stage(model)
    card = card_of(model, version, job or f"job_{version}")
    metrics = {"history": {"loss": [0.5, float("nan")]}, "test": None}
    write_version(staged, card, weights_of(version), metrics, {"confusion_matrix.png": b"\x89PNG" + bytes(40)})
    return staged


def publish(registry: Registry, model: str, *versions: int) -> None:
    for version in versions:
        registry.publish(stage(registry, model, version), model, version)


def files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
