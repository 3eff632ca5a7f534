"""The feature store: the frozen trunk's output for a picture, computed once, kept under the key of all that made it.

with fill(store, kinds, pictures, pixels, trunk, monitor) as extracted:
    rows = extracted.rows(kind, indices)  # float32; read where they are kept, else computed again
"""

from graft.training.features.extraction import Extracted, fill
from graft.training.features.extractor import Extractor
from graft.training.features.kind import FeatureKind, View, views_of, worth_keeping
from graft.training.features.store import FeatureStore

__all__ = ["Extracted", "Extractor", "FeatureKind", "FeatureStore", "View", "fill", "views_of", "worth_keeping"]
