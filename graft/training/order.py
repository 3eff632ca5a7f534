"""What a job asks of this room: a training or a plan, on a pinned revision of a dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from graft.datasets import Datasets, Manifest
from graft.errors import InvalidInput
from graft.registry import Registry
from graft.training.presets import RecipeRequest
from graft.vgg16.weights import WeightStore


class Order(Protocol):
    """A row of the job table has these fields."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    @property
    def dataset(self) -> str | None: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def recipe(self) -> dict[str, Any] | None: ...
    @property
    def fence(self) -> int: ...


class Stores(Protocol):
    """Where a training reads and writes. `home`: the folder that holds `features` and `checkpoints`.

    features_budget: bytes; None for the feature store's own choice.
    """

    @property
    def datasets(self) -> Datasets: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def weights(self) -> WeightStore: ...
    @property
    def home(self) -> Path: ...
    @property
    def features_budget(self) -> int | None: ...


@dataclass(frozen=True)
class Subject:
    """An order's dataset and what was asked, read."""

    dataset: str
    manifest: Manifest
    request: RecipeRequest

    @classmethod
    def of(cls, order: Order, datasets: Datasets) -> Self:
        """Raises InvalidInput for an order that lacks one of them, NotFound for a dataset that is gone."""
        if order.dataset is None or order.revision is None or order.recipe is None:
            raise InvalidInput(
                f"A {order.kind} job needs a dataset with its revision, and a recipe; {order.id} lacks one."
            )
        manifest = datasets.manifest(order.dataset, order.revision)
        return cls(order.dataset, manifest, RecipeRequest.parse(order.recipe))
