"""Grafts of random weights, published as a training would publish them. No TensorFlow here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graft.database import connect, migrate
from graft.registry import ModelCard, Parameter, Registry, write_version
from graft.settings import Settings
from graft.stores import Stores, open_stores
from graft.types import InputKey, Precision
from graft.vgg16.layers import LAST, HeadSpec, Pooling, between, head_shapes, tail_shapes
from graft.vgg16.weights import TRUNK_DIGEST

CLASSES = 10
Weights = Mapping[str, np.ndarray]


def _head(pooling: Pooling, *hidden_units: int) -> HeadSpec:
    return HeadSpec(pooling, hidden_units, batch_norm=bool(hidden_units), dropout=0.5, classes=CLASSES)


@dataclass(frozen=True)
class Kind:
    """An architecture: where it leaves the trunk, and its head."""

    name: str
    cut: str
    head: HeadSpec

    @property
    def nbytes(self) -> int:
        """Of its weights."""
        return 4 * sum(int(np.prod(shape)) for shape in self._shapes().values())

    def weights(self, seed: int) -> dict[str, np.ndarray]:
        """Seeded, and scaled so that activations keep their size (He et al. 2015)."""
        rng = np.random.default_rng(seed)
        weights = {}
        for name, shape in self._shapes().items():
            if name.endswith("/kernel"):
                scale = np.float32((2 / np.prod(shape[:-1])) ** 0.5)
                weights[name] = rng.standard_normal(shape, np.float32) * scale
            else:
                weights[name] = np.full(shape, float(name.endswith(("/gamma", "/moving_variance"))), np.float32)
        return weights

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {**tail_shapes(self.cut), **head_shapes(self.head)}


FLATTEN_64 = Kind("flatten 64", LAST, _head("flatten", 64))
AVG_SOFTMAX = Kind("avg softmax", LAST, _head("avg"))
AVG_64 = Kind("avg 64", LAST, _head("avg", 64))
BLOCK_5 = Kind("block 5, avg softmax", "block4_pool", _head("avg"))


@contextmanager
def opened(home: Path, weights: Path | None = None) -> Iterator[Stores]:
    """The stores of a home folder, made where it is not there. weights: a folder with the trunk's."""
    settings = Settings(home=home, weights_dir=weights)
    home.mkdir(parents=True, exist_ok=True)
    engine = connect(settings.sqlalchemy_url)
    migrate(engine)
    try:
        yield open_stores(settings, engine)
    finally:
        engine.dispose()


def publish(
    registry: Registry,
    model: str,
    kind: Kind,
    version: int = 1,
    *,
    weights: Weights | None = None,
    precision: Precision = "float32",
    seed: int = 0,
) -> None:
    """A version of a model; its labels begin with `vVERSION-`. weights: `kind`'s own, seeded, unless they are given."""
    weights = kind.weights(seed) if weights is None else weights
    parameters = [Parameter(name=n, shape=w.shape, trainable=True, count=w.size) for n, w in weights.items()]
    card = ModelCard(
        model=model,
        version=version,
        created_at=1_795_512_600_000,
        cut=kind.cut,
        tail=tuple(layer.name for layer in between(kind.cut, LAST)),
        head=kind.head,
        classes=tuple(f"v{version}-{i}" for i in range(kind.head.classes)),
        input=InputKey(precision=precision),
        trunk_digest=TRUNK_DIGEST,
        parameters=tuple(parameters),
        trainable_parameters=sum(parameter.count for parameter in parameters),
        frozen_parameters=0,
        recipe={"preset": "feature-extraction"},
        dataset="ds_random",
        dataset_revision="0" * 64,
        job_id=f"job_{model}_{version}",
        metrics={},
    )
    staged = registry.stage(model)
    write_version(staged, card, weights, {}, {})
    registry.publish(staged, model, version)
