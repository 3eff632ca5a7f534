"""The validation of a dataset against a bare Pillow decode of the same files on the same cores.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.ingest [--rounds 9] [--pictures 800]

Validation is the whole job: lay out, read, hash, decode, check, split, write the manifest and the row. The bare decode
opens each file with Pillow and converts it to RGB, in as many threads. Both run in this process on files that the
system has in its cache, alternately; the ratio of each round is taken for itself, and its median is printed: once for
the sign-language digits (JPEG, 100 x 100), once for drawn JPEGs of the size that ImageNet's have. Wanted: 0.8.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import PIL
from PIL import Image

from benchmarks.pictures import MEAN_SIZE, photos
from graft.database import connect, migrate
from graft.datasets import ArchiveLimits, Datasets
from graft.images import cores
from tests.graft.datasets.filling import create
from tests.monitors import Recorder

WANTED = 0.8


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--pictures", type=int, default=800, help="how many to draw")
    asked = arguments.parse_args()
    if "GRAFT_TEST_ASSETS" not in os.environ:
        sys.exit("GRAFT_TEST_ASSETS must name the folder that holds sign-language-digits/; it is not set.")
    print(f"Pillow {PIL.__version__}, {cores()} cores, load {os.getloadavg()[0]:.1f} before the start", flush=True)
    digits = Path(os.environ["GRAFT_TEST_ASSETS"]) / "sign-language-digits"
    compare(
        "digits, 100 x 100", {str(p.relative_to(digits)): p.read_bytes() for p in digits.glob("*/*/*")}, asked.rounds
    )
    drawn = {f"{i % 4}/{i}.jpg": data for i, data in enumerate(photos(asked.pictures))}
    compare(f"drawn, {MEAN_SIZE[0]} x {MEAN_SIZE[1]}", drawn, asked.rounds)


def compare(title: str, files: Mapping[str, bytes], rounds: int) -> None:
    ours, bare = [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            validate, decode = prepare(files, Path(folder))
            if number % 2:
                ours.append(timed(validate))
                bare.append(timed(decode))
            else:
                bare.append(timed(decode))
                ours.append(timed(validate))
    rate_of_ours, rate_of_bare = (len(files) / statistics.median(wall for wall, _ in each) for each in (ours, bare))
    wall, cpu = ([there[i] / here[i] for here, there in zip(ours, bare, strict=True)] for i in (0, 1))
    size = sum(map(len, files.values())) / len(files) / 1024
    print(
        f"{title}, {len(files)} JPEGs of {size:.0f} KiB: validation {rate_of_ours:,.0f} pictures/s, bare decode "
        f"{rate_of_bare:,.0f}; ratio {statistics.median(wall):.2f} by the clock (of {rounds} rounds {min(wall):.2f} to "
        f"{max(wall):.2f}), {statistics.median(cpu):.2f} by processor time; wanted {WANTED}",
        flush=True,
    )


def prepare(files: Mapping[str, bytes], home: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """A dataset that waits for its validation; that, and the bare decode of its files."""
    engine = connect(f"sqlite:///{home / 'graft.db'}")
    migrate(engine)
    datasets = Datasets(engine, home, ArchiveLimits())
    dataset = create(datasets, files)
    paths = sorted((home / "datasets" / dataset.id / "files").glob("*/*"))
    if len(paths) != len(files):
        sys.exit(f"The files must differ for both to do the same work; {len(files)} are {len(paths)} contents.")

    def validate() -> None:
        found = datasets.validate(dataset.id, Recorder())
        engine.dispose()
        if found.state != "ready" or any(problem["left_out"] for problem in found.problems):
            sys.exit(f"Every picture must be good; {found.problems[:3]}")

    return validate, lambda: decode_all(paths)


def decode_all(paths: Sequence[Path]) -> None:
    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(decode, paths):
            pass


def decode(path: Path) -> None:
    with Image.open(path) as image:
        image.convert("RGB")


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock, and of all threads together on a processor, which others on the machine lengthen less."""
    started, used = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - started, time.process_time() - used


if __name__ == "__main__":
    main()
