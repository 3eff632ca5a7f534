"""The verdict on a dataset: split what is usable, say what is not, and whether it makes a revision."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from graft.datasets.checking import checks, findings
from graft.datasets.checking.checks import FLAWS, OF_FILES, Check
from graft.datasets.checking.problems import Flaw, Problem
from graft.datasets.checking.splits import SplitRequest, carve
from graft.datasets.checking.traits import Traits
from graft.datasets.layouts.listing import SourceFile
from graft.datasets.manifest import SPLITS, Manifest, Picture, Split

MAX_PROBLEMS = 1000  # kept one by one; the rest are counted
# What more of the pictures than this share have in common is what the set is like: a check says so, and no problem.
THROUGHOUT = 0.5


@dataclass(frozen=True)
class Verdict:
    """What validation found. The manifest of a set that is rejected only says what was left.

    checks: errors first, then by count; found: file by file, what is left out first; bad: how many files are no usable
    pictures.
    """

    manifest: Manifest
    checks: tuple[Check, ...]
    found: tuple[Problem, ...]
    bad: int

    @property
    def rejected(self) -> bool:
        return any(check.severity == "error" for check in self.checks)

    def problems(self) -> list[dict[str, Any]]:
        """The reasons to reject it first, then file by file; beyond MAX_PROBLEMS only their number."""
        reasons = [check for check in self.checks if check.severity == "error"]
        kept = self.found[:MAX_PROBLEMS]
        rest = len(self.found) - len(kept)
        more = [Problem(None, "more_problems", f"{rest:,} more are not listed; the checks count all.")] if rest else []
        told = [Problem(None, check.code, f"{check.message} {check.advice}") for check in reasons]
        return [asdict(problem) for problem in (*told, *kept, *more)]


def judge(
    files: Sequence[SourceFile],
    looks: Mapping[str, Traits | Flaw],
    request: SplitRequest,
    *,
    earlier: Manifest | None = None,
    left_out: Sequence[Problem] = (),
) -> Verdict:
    """looks: of every content, by sha256. earlier: the revision whose pictures keep their splits. left_out: by the
    layout."""
    traits = {sha256: look for sha256, look in looks.items() if isinstance(look, Traits)}
    bad = [
        Problem(file.path, look.code, look.message, left_out=True)
        for file in files
        if isinstance(look := looks[file.sha256], Flaw)
    ]
    good = [file for file in files if file.sha256 in traits]
    classes = sorted({file.label for file in files})
    named = {file.split for file in files}
    manifest = Manifest.of_pictures(classes, _split(good, named, classes, request, earlier))
    problems = [*left_out, *bad, *findings.find(manifest, traits)]
    no_pictures = len(bad) + sum(problem.code in FLAWS for problem in left_out)
    found = [
        *checks.reasons(manifest, no_pictures, len(files) + no_pictures - len(bad)),
        *checks.of_files(problems, len(files) + len(left_out)),
        *checks.of_the_set(manifest, traits),
    ]
    found.sort(key=lambda check: (check.severity, -check.count, check.code))
    return Verdict(manifest, tuple(found), tuple(_exceptions(problems, len(good))), no_pictures)


def _exceptions(problems: Sequence[Problem], pictures: int) -> list[Problem]:
    """The problems without what is true throughout; sorted by what they are, the worst first, then by path."""
    common = Counter(problem.code for problem in problems)
    order = {code: place for place, code in enumerate(OF_FILES)}
    told = [problem for problem in problems if problem.left_out or common[problem.code] <= THROUGHOUT * pictures]
    return sorted(told, key=lambda p: (not p.left_out, order.get(p.code, 0), p.path or ""))


def _split(
    good: Sequence[SourceFile],
    named: set[Split | None],
    classes: Sequence[str],
    request: SplitRequest,
    earlier: Manifest | None,
) -> list[Picture]:
    """Carve the splits that the folders do not name out of the training files; without split folders all are such."""
    split_of = _splits_of(earlier)
    labels: dict[str, set[str]] = defaultdict(set)
    for file in good:
        labels[file.sha256].add(file.label)

    def held(file: SourceFile) -> Split | None:
        """Of several classes: to train on. Tested on, it would be counted wrong in one of them, whatever is said."""
        return split_of(file) or ("train" if len(labels[file.sha256]) > 1 else None)

    given = [(file, split_of(file) or file.split) for file in good if file.split not in (None, "train")]
    free = [file for file in good if file.split in (None, "train")]
    carved = carve(
        free,
        [held(file) for file in free],
        validation=0.0 if "validation" in named else request.validation_split,
        test=0.0 if "test" in named else request.test_split,
        seed=request.split_seed,
    )
    label = {name: index for index, name in enumerate(classes)}
    return [
        Picture(file.path, split, label[file.label], file.sha256)
        for file, split in (*given, *zip(free, carved, strict=True))
        if split is not None
    ]


def _splits_of(earlier: Manifest | None) -> Callable[[SourceFile], Split | None]:
    """The split that a file had in the earlier revision; else that of the same content there, of its own class first.

    So a new copy of an old picture never puts it into a second split, whatever its folder says.
    """
    own: dict[tuple[str, str], Split] = {}
    of_class: dict[tuple[str, str], Split] = {}
    of_content: dict[str, Split] = {}
    if earlier:
        for picture in sorted(earlier.pictures, key=lambda p: -SPLITS.index(p.split)):
            # Training comes last and wins: it has seen the content that is in another split, too.
            own[picture.path, picture.sha256] = picture.split
            of_class[earlier.classes[picture.label], picture.sha256] = picture.split
            of_content[picture.sha256] = picture.split

    def split_of(file: SourceFile) -> Split | None:
        sha256 = file.sha256
        return own.get((file.path, sha256)) or of_class.get((file.label, sha256)) or of_content.get(sha256)

    return split_of
