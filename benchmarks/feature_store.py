"""The feature store at 1,000 to 100,000 pictures, on rows that no trunk has made.

    python -m benchmarks.feature_store [--pictures 1000 10000 100000] [--cut block5_pool] [--folder FOLDER]

Writes rows of the cut at bfloat16 (50 KB a picture at block5_pool, 5 GB at 100,000) into a temporary store, opens it
anew, and reads every row twice in shuffled batches of 32. Claimed: anonymous memory (RssAnon: what the process holds
that is no file's; TensorFlow alone takes 200 MB) is at most 32 MB more with the largest number of pictures than with
the smallest. Printed besides: rows a second written and read.
"""

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import MB, describe
from graft.training.features import FeatureKind, FeatureStore
from graft.training.features.kept import Kept
from graft.training.features.shards import digests_of
from graft.types import InputKey

BATCH = 32
CLAIMED = 32 * MB


@dataclass(frozen=True)
class Measured:
    """Rows a second, and the most anonymous memory that was seen, in bytes."""

    written: float
    opened: float  # seconds
    read: float
    memory: int


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--pictures", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    arguments.add_argument("--cut", default="block5_pool")
    arguments.add_argument("--folder", type=Path, help="where the store is made; else the system's temporary folder")
    asked = arguments.parse_args()
    kind = FeatureKind(InputKey(precision="bfloat16"), "synthetic", asked.cut, None)
    largest = max(asked.pictures) * kind.row_bytes
    print(f"{describe()}\n{kind.cut}, {kind.row_bytes:,} bytes a row, {largest / 1e9:.1f} GB at most", flush=True)
    memory = {}
    for pictures in sorted(asked.pictures):
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            if shutil.disk_usage(folder).free < 1.2 * largest:
                sys.exit(f"{folder} must have {1.2 * largest / 1e9:.1f} GB free; name a larger --folder.")
            measured = measure(FeatureStore(Path(folder), 2 * largest), kind, pictures)
        memory[pictures] = measured.memory
        print(
            f"{pictures:,} pictures: {measured.written:,.0f} rows/s written ({rate(kind, measured.written)}), "
            f"opened in {measured.opened:.2f} s, {measured.read:,.0f} rows/s read ({rate(kind, measured.read)}); "
            f"anonymous memory at most {measured.memory / MB:.0f} MB",
            flush=True,
        )
    grown = memory[max(memory)] - memory[min(memory)]
    print(
        f"anonymous memory, {max(memory):,} pictures against {min(memory):,}: {grown / MB:+.1f} MB; "
        f"wanted at most +{CLAIMED / MB:.0f}"
    )


def rate(kind: FeatureKind, rows: float) -> str:
    return f"{rows * kind.row_bytes / MB:,.0f} MB/s"


def measure(store: FeatureStore, kind: FeatureKind, pictures: int) -> Measured:
    digests = np.unique(digests_of([hashlib.sha256(str(i).encode()).hexdigest() for i in range(pictures)]))
    memory = [anonymous()]
    began = time.monotonic()
    with store.open([kind], digests) as kept:
        memory += [anonymous() for _ in written(store, kept, kind)]
        wrote = time.monotonic()
    with store.open([kind], digests) as kept:
        opened = time.monotonic()
        if not kept.has(kind).all():
            raise AssertionError("the store lacks rows that were written")
        rng = np.random.default_rng(0)
        for _ in range(2):
            order = rng.permutation(pictures)
            for first in range(0, pictures, BATCH):
                indices = order[first : first + BATCH]
                rows, found = kept.read(kind, indices)
                check(rows.astype(np.float32), found, indices)
            memory.append(anonymous())
        read = time.monotonic()
    return Measured(pictures / (wrote - began), opened - wrote, 2 * pictures / (read - opened), max(memory))


def written(store: FeatureStore, kept: Kept, kind: FeatureKind) -> Iterator[None]:
    """After every shard. A row is its picture's number all over."""
    lacking = {kind: ~kept.has(kind)}
    row = np.zeros(kind.shape, kind.dtype)
    while claims := store.claim(kept, lacking):
        for claim in claims:
            lacking[kind][claim.indices] = False
            if claim.partial is None:
                raise AssertionError("the budget is too small")
            for index in claim.indices:
                row[:] = index % 251
                claim.partial.append(kept.digests[index], row)
            store.finish(claim, kept)
        yield


def check(rows: np.ndarray, found: np.ndarray, indices: np.ndarray) -> None:
    flat = rows.reshape(len(rows), -1)
    if not (found.all() and (flat[:, 0] == indices % 251).all() and (flat[:, -1] == indices % 251).all()):
        raise AssertionError("a row came back wrong")


def anonymous() -> int:
    """Bytes of this process's memory that are no file's."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
