"""Files through the whole check: looked at, split, judged."""

import hashlib
from collections.abc import Mapping
from typing import Any

from graft.datasets.checking.checks import Check
from graft.datasets.checking.inspection import inspect
from graft.datasets.checking.splits import SplitRequest
from graft.datasets.checking.validation import Verdict, judge
from graft.datasets.layouts.listing import SourceFile
from graft.datasets.manifest import SPLITS, Manifest, Split
from tests.monitors import Recorder


def sources(files: Mapping[str, bytes]) -> list[SourceFile]:
    """files: `class/name` or `split/class/name` -> content."""
    found = []
    for path, data in files.items():
        split: Split | None = next((split for split in SPLITS if path.startswith(f"{split}/")), None)
        found.append(SourceFile(path, split, path.split("/")[-2], hashlib.sha256(data).hexdigest()))
    return found


def checked(
    files: Mapping[str, bytes], request: SplitRequest | None = None, *, earlier: Manifest | None = None
) -> Verdict:
    stored = {hashlib.sha256(data).hexdigest(): data for data in files.values()}
    looks = inspect(sorted(stored), stored.__getitem__, max_pixels=1_000_000, monitor=Recorder())
    return judge(sources(files), looks, request or SplitRequest(), earlier=earlier)


def told(verdict: Verdict) -> list[tuple[Any, ...]]:
    """The problems without their messages."""
    return [(each["path"], each["code"], each["left_out"]) for each in verdict.problems()]


def check(verdict: Verdict, code: str) -> Check:
    [found] = [check for check in verdict.checks if check.code == code]
    return found
