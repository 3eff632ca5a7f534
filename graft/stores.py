"""What the API and a job process open alike. Part of both composition roots: settings in, stores out."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from graft.datasets import ArchiveLimits, Datasets
from graft.jobs import Jobs
from graft.registry import Registry
from graft.settings import Settings
from graft.vgg16.weights import WeightStore


@dataclass(frozen=True)
class Stores:
    """`home`: the folder that holds what has no store of its own here, such as `features` and `checkpoints`.

    features_budget: bytes; None for the feature store's own choice.
    """

    jobs: Jobs
    datasets: Datasets
    registry: Registry
    weights: WeightStore
    home: Path
    features_budget: int | None


def open_weights(settings: Settings) -> WeightStore:
    """For whoever needs no database."""
    return WeightStore(settings.home / "weights", settings.weights_dir, settings.weights_url)


def open_stores(settings: Settings, engine: Engine) -> Stores:
    """Over a database that is migrated; folders are made when they are first needed."""
    limits = ArchiveLimits(
        bytes=settings.archive_bytes,
        entries=settings.archive_entries,
        file_bytes=settings.archive_file_bytes,
        data_bytes=settings.archive_data_bytes,
        ratio=settings.archive_ratio,
        picture_pixels=settings.picture_pixels,
    )
    return Stores(
        jobs=Jobs(engine, lease_seconds=settings.lease_seconds),
        datasets=Datasets(engine, settings.home, limits),
        registry=Registry(settings.home / "registry", engine),
        weights=open_weights(settings),
        home=settings.home,
        features_budget=settings.features_budget,
    )
