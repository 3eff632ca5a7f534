"""What happens to the models of a registry while they are served: damage, a disk that fails, time that passes."""

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from graft.engine.models import Models
from graft.registry import WEIGHTS, ModelCard, Registry
from tests.graft.engine.preparing import BYTES_A_MODEL, DEADLINE, Prepare, Watched, assert_whole


class Clock:
    """It stands until somebody moves it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Meddled(Registry):
    """Notes what is loaded, and lets things happen just before and just after a version is read. Its disk may fail."""

    def __init__(self, root: Path, engine: Engine) -> None:
        super().__init__(root, engine)
        self.read: list[int] = []
        self.before: dict[int, Callable[[], None]] = {}
        self.after: dict[int, Callable[[], None]] = {}
        self.unreadable = ""  # a model whose folder cannot be looked at

    def resolve(self, model: str, *, version: int | None = None, alias: str | None = None) -> int:
        if model == self.unreadable:
            raise OSError(errno.EIO, "the disk")
        return super().resolve(model, version=version, alias=alias)

    def load(self, model: str, version: int) -> tuple[ModelCard, dict[str, np.ndarray]]:
        self.read.append(version)
        self.before.get(version, lambda: None)()
        try:
            return super().load(model, version)
        finally:
            self.after.get(version, lambda: None)()


def models_of(
    registry: Registry,
    prepare: Prepare,
    metrics: Watched,
    patience: float = DEADLINE,
    clock: Callable[[], float] = time.monotonic,
) -> Models:
    size = 10 * BYTES_A_MODEL
    return Models(registry, memory_bytes=size, prepare=prepare, metrics=metrics, patience=patience, clock=clock)


def answers(models: Models, **asked: object) -> int:
    version, loaded = models.get("signs", **asked)  # type: ignore[arg-type]
    assert_whole("signs", version, loaded)
    return version


def damage(root: Path, version: int, name: str = WEIGHTS) -> Callable[[], None]:
    """Cut a file of a version of `signs`; gives what restores it from a copy."""
    path = root / "signs" / str(version) / name
    copy = path.with_name(f"{name}.copy")
    shutil.copy2(path, copy)
    path.write_bytes(path.read_bytes()[:-1])

    def restore() -> None:
        copy.replace(path)

    return restore
