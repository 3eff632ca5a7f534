"""What a plan looks at: a dataset, the features that are kept of it, the trunk."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from graft.datasets import Datasets, Manifest, Picture
from graft.training.features import FeatureKind, FeatureStore, views_of, worth_keeping
from graft.training.features.extractor import Pixels
from graft.training.features.shards import Digests, digests_of
from graft.training.plan.costs import Cost, Rates, cost
from graft.training.plan.rules import Data
from graft.training.recipe import Recipe
from graft.types import Interpolation, Precision
from graft.vgg16.trunk import TrunkRunner
from graft.vgg16.weights import TRUNK_DIGEST


@dataclass(frozen=True)
class Sources:
    """trunk: makes a runner at `precision`, called where one is needed."""

    datasets: Datasets
    dataset: str
    manifest: Manifest
    store: FeatureStore
    trunk: Callable[[], TrunkRunner]
    precision: Precision

    def data(self) -> Data:
        manifest = self.manifest
        by_class = np.bincount([p.label for p in manifest.of("train")], minlength=len(manifest.classes))
        pictures = {split: sum(counts.values()) for split, counts in manifest.counts().items()}
        return Data(pictures, by_class.tolist())

    def pixels(self, interpolation: Interpolation) -> Callable[[Picture], Pixels]:
        return lambda picture: self.datasets.pixels(self.dataset, picture.sha256, interpolation)

    def price(self, recipe: Recipe, rates: Rates) -> Cost:
        """With what the store has already, and what it has room for."""
        rows = lacking = 0
        kind = kind_of(recipe.at(self.precision))
        for one, digests in self._needed(recipe, kind):
            with self.store.open([one] if worth_keeping(one) else [], digests) as kept:
                lacking += int((~kept.has(one)).sum())
            rows += len(digests)
        kept_share = min(1.0, self.store.budget / (max(rows, 1) * kind.row_bytes)) if worth_keeping(kind) else 0.0
        return cost(recipe, self.data().pictures, round(lacking * kept_share), kept_share, rates)

    def _needed(self, recipe: Recipe, kind: FeatureKind) -> Iterator[tuple[FeatureKind, Digests]]:
        """Which features the recipe's training reads again and again, of which pictures."""
        training = views_of(kind, recipe.augmentation, recipe.seed) if recipe.augmentation else [kind]
        for kinds, splits in ((training, ("train",)), ([kind], ("validation", "test"))):
            digests = np.unique(digests_of([p.sha256 for p in self.manifest.pictures if p.split in splits]))
            for one in kinds:
                yield one, digests


def kind_of(recipe: Recipe) -> FeatureKind:
    """What the recipe, of a settled precision, trains on."""
    return FeatureKind(recipe.input_key, TRUNK_DIGEST, recipe.cut, recipe.feature_pooling)
