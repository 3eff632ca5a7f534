"""Validate a dataset's files: decode every picture, split what is left, and say whether it makes a revision."""

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from graft import images
from graft.datasets.layouts import SourceFile
from graft.datasets.manifest import Manifest, Picture
from graft.datasets.splits import SplitRequest, carve
from graft.errors import Interrupted, NotAPicture, TooLarge
from graft.types import Monitor, Progress

MAX_BAD = 0.2  # of all files
MAX_PROBLEMS = 1000  # kept one by one; the rest are counted


@dataclass(frozen=True)
class Problem:
    """path: None when it is about the whole set. code: for programs, message: for people."""

    path: str | None
    code: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What validation found. A set is rejected when it has reasons; the manifest then only says what was left."""

    manifest: Manifest
    reasons: tuple[Problem, ...]
    bad: tuple[Problem, ...]

    def problems(self) -> list[dict[str, Any]]:
        """The reasons first, then file by file; beyond MAX_PROBLEMS only their number."""
        kept = self.bad[:MAX_PROBLEMS]
        rest = len(self.bad) - len(kept)
        more = [Problem(None, "more_problems", f"{rest:,} more files have problems.")] if rest else []
        return [asdict(problem) for problem in (*self.reasons, *kept, *more)]


def judge(files: Sequence[SourceFile], flaws: dict[str, tuple[str, str]], request: SplitRequest) -> Verdict:
    """flaws: sha256 -> (code, message) of the contents that are no usable picture."""
    bad = [Problem(file.path, *flaws[file.sha256]) for file in files if file.sha256 in flaws]
    good = [file for file in files if file.sha256 not in flaws]
    classes = sorted({file.label for file in files})
    manifest = Manifest.of_pictures(classes, _split(good, {file.split for file in files}, classes, request))
    return Verdict(manifest, tuple(_reasons(manifest, len(bad), len(files))), tuple(bad))


def _split(good: list[SourceFile], named: set[str | None], classes: list[str], request: SplitRequest) -> list[Picture]:
    """Carve the splits that the folders do not name out of the training files; without split folders all are such."""
    fixed = [(file, file.split) for file in good if file.split not in (None, "train")]
    free = [file for file in good if file.split in (None, "train")]
    carved = carve(
        free,
        validation=0.0 if "validation" in named else request.validation_split,
        test=0.0 if "test" in named else request.test_split,
        seed=request.split_seed,
    )
    label = {name: index for index, name in enumerate(classes)}
    return [
        Picture(file.path, split, label[file.label], file.sha256)
        for file, split in (*fixed, *zip(free, carved, strict=True))
        if split is not None
    ]


def _reasons(manifest: Manifest, bad: int, files: int) -> list[Problem]:
    """Why the set cannot be used; nothing where it can."""
    reasons = []
    if bad > MAX_BAD * files:
        reasons.append(
            Problem(
                None,
                "too_many_bad_files",
                f"At most {MAX_BAD:.0%} of a dataset's files may be bad; {bad:,} of {files:,} are. "
                "Repair or remove those listed here and send the set again.",
            )
        )
    counts = manifest.counts()
    left = [name for name in manifest.classes if any(counts[split][name] for split in counts)]
    if len(left) < 2:
        what = f"only {left[0]!r} has any" if left else "none has any"
        reasons.append(
            Problem(None, "too_few_classes", f"A dataset needs good pictures of at least two classes; {what}.")
        )
    reasons += [
        Problem(
            None,
            "no_training_picture",
            f"Every class needs at least one good training picture; {name!r} has none. Add some, or remove the class.",
        )
        for name in manifest.classes
        if not counts["train"][name]
    ]
    return reasons


def find_flaws(
    hashes: Sequence[str], read: Callable[[str], bytes], *, max_pixels: int, monitor: Monitor
) -> dict[str, tuple[str, str]]:
    """sha256 -> (code, message) of the contents that are no usable picture. Raises Interrupted when told to stop.

    Decodes in as many threads as there are cores (Pillow frees the interpreter while it works), one picture in each.
    """
    workers = images.cores()
    flaws: dict[str, tuple[str, str]] = {}
    started = time.monotonic()

    def flaw(sha256: str) -> tuple[str, str] | None:
        return _flaw(read(sha256), sha256, max_pixels)

    with ThreadPoolExecutor(workers, thread_name_prefix="validate") as pool:
        for done in range(0, len(hashes), 4 * workers):
            if monitor.stop_requested():
                raise Interrupted("Validation was asked to stop; it starts anew when the job does.")
            batch = hashes[done : done + 4 * workers]
            found = zip(batch, pool.map(flaw, batch), strict=True)
            flaws.update((sha256, reason) for sha256, reason in found if reason is not None)
            monitor.report(_progress(done + len(batch), len(hashes), time.monotonic() - started))
    return flaws


def _flaw(data: bytes, sha256: str, max_pixels: int) -> tuple[str, str] | None:
    if hashlib.sha256(data).hexdigest() != sha256:
        return "damaged_on_disk", "The stored file is not what was sent, as after a power cut. Send the set again."
    try:
        images.decode(data, max_pixels=max_pixels)
    except NotAPicture as error:
        return "not_a_picture", str(error)
    except TooLarge as error:
        return "too_large", str(error)
    return None


def _progress(done: int, total: int, seconds: float) -> Progress:
    return Progress("validating", step=done, steps=total, eta_seconds=seconds / done * (total - done))
