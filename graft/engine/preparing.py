"""From what the registry holds of a version to a model that answers."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from graft.engine.models import LoadedModel
from graft.engine.trunks import Trunks
from graft.errors import CorruptVersion, InvalidInput
from graft.registry import ModelCard
from graft.types import PIXELS_VERSION, InputKey, Precision
from graft.vgg16.heads import Graft, imagenet_weights
from graft.vgg16.labels import imagenet_classes
from graft.vgg16.layers import IMAGENET_HEAD, LAST, feature_shape
from graft.vgg16.weights import TRUNK_DIGEST, Classifier


class Preparer:
    """Builds models that leave these trunks, and warms them up.

    served: the precision at which a model is served here that was trained at another.
    """

    def __init__(self, trunks: Trunks, served: Callable[[Precision], Precision]) -> None:
        self._trunks = trunks
        self._served = served

    def model(self, card: ModelCard, weights: Mapping[str, np.ndarray]) -> LoadedModel:
        """A version, ready to answer.

        Raises CorruptVersion when it is unfit: it is another release's, makes no network, or answers no numbers.
        Anything else that is raised did not work this time.
        """
        if card.trunk_digest != TRUNK_DIGEST or card.input.pixels != PIXELS_VERSION:
            raise CorruptVersion(
                "A version must be served on the trunk and by the pixel code that it was trained with; "
                f"{card.model!r} version {card.version} has trunk {card.trunk_digest[:12]} and pixels "
                f"{card.input.pixels}, this release {TRUNK_DIGEST[:12]} and {PIXELS_VERSION}. Train it again."
            )
        key = replace(card.input, precision=self._served(card.input.precision))
        try:
            graft = Graft(card.cut, card.head, weights, key.precision)
            model = LoadedModel(graft, key, card.classes, card.temperature)
            numbers = self._warm(model)
        except (ValueError, LookupError, InvalidInput) as error:
            raise CorruptVersion(
                f"A version must answer a blank picture to be served; {card.model!r} version {card.version} did not: "
                f"{error}. Train it again, or delete it."
            ) from error
        if not numbers:
            raise CorruptVersion(
                f"A version must answer numbers; {card.model!r} version {card.version} answers a blank picture with "
                "what is none (NaN or infinity). Train it again, with a lower learning rate."
            )
        return model

    def imagenet(self, classifier: Classifier, precision: Precision) -> LoadedModel:
        """The stock classifier as one more graft: cut after the whole trunk, no tail, a big head."""
        graft = Graft(LAST, IMAGENET_HEAD, imagenet_weights(classifier.layers), precision)
        model = LoadedModel(graft, InputKey(precision=precision), tuple(label for _, label in imagenet_classes()))
        self._warm(model)
        return model

    def _warm(self, model: LoadedModel) -> bool:
        """Run it once on every device, so that the first caller waits for nothing; whether it answers numbers."""
        self._trunks.warm(model.input.precision, model.graft.cut)
        blank = np.zeros((1, *feature_shape(model.graft.cut)), np.float32)
        return all(np.isfinite(model.graft.answer(blank, device)).all() for device in self._trunks.devices)
