"""What the validation of a dataset found, one entry a kind: how often, for example where, and what to do."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from graft.datasets.checking.findings import MAX_RATIO, MIN_SIDE
from graft.datasets.checking.problems import Problem
from graft.datasets.checking.traits import Traits
from graft.datasets.manifest import Manifest, Split

MAX_BAD = 0.2  # of all files
MAX_EXAMPLES = 5
# Of training pictures, of the largest class to the smallest. Of two classes, whoever always says the larger is then
# right in 80 % of all cases, which developers.google.com/machine-learning/crash-course calls moderately imbalanced.
MAX_IMBALANCE = 4
# Training pictures of a class: in a smaller one each picture is more than a tenth of what is learnt of it.
MIN_CLASS = 10


@dataclass(frozen=True)
class Check:
    """severity: errors reject the set. examples: up to five paths, or names of classes where it is about classes."""

    code: str
    severity: Literal["error", "warning"]
    count: int
    examples: tuple[str, ...]
    message: str
    advice: str


# Codes of contents that are no usable pictures.
FLAWS: Final = frozenset({"not_a_picture", "truncated", "too_large", "damaged_on_disk"})
# Code -> what the files are, and what to do. First those that are left out, then the others, the worst first.
OF_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "not_a_picture": (
        "Files that are no picture, or none that can be read, and are left out",
        "Save them as JPEG or PNG, or remove them, and send the set again.",
    ),
    "truncated": (
        "Files that end too early, and are left out",
        "They were cut off in a copy or a download: take them from where they are whole.",
    ),
    "too_large": ("Pictures with too many pixels, which are left out", "Make them smaller: a model sees 224 x 224."),
    "damaged_on_disk": ("Files that are not stored as they were sent, and are left out", "Send the set again."),
    "other_shape": (
        "Pictures of another shape than their boxes were drawn in, which are left out",
        "Send those that were annotated, neither resized nor turned.",
    ),
    "small_box": ("Boxes too small to show anything, which are left out", "Nothing needs to be done."),
    "several_labels": (
        "Pictures with objects of several categories, which are left out",
        "Ask for boxes=crop, which makes a picture of each object.",
    ),
    "no_label": ("Pictures in which nothing is marked, and which are left out", "Mark what they show, or remove them."),
    "unlisted": ("Pictures that no label names, and that are left out", "Add them to the labels, or remove them."),
    "stray_file": ("Files that are neither pictures nor labels, and are left out", "Remove them where that is right."),
    "label_conflict": (
        "Pictures that are in several classes",
        "One of the answers is wrong. They are trained on in each, and where the splits are drawn here, never "
        "tested on. Remove them from the wrong classes.",
    ),
    "leak": (
        "Pictures of validation or test that are in another split, too",
        "What was trained on is known already, so that the accuracy comes out too high. Remove them from one of the "
        "splits.",
    ),
    "duplicate": (
        "Copies of a picture in its own class and split",
        "A copy counts as often as it is there. Remove those that are not meant.",
    ),
    "extreme_shape": (
        f"Pictures over {MAX_RATIO} times as long as wide",
        "They are squeezed into a square. Crop them to what matters, in what you will classify, too.",
    ),
    "animated": (
        "Pictures of several frames or pages, of which the first is used",
        "Where that is not the one that you mean, save that as a picture of its own.",
    ),
    "tiny": (
        f"Pictures with a side of less than {MIN_SIDE} pixels",
        "They are enlarged to 224 x 224, and have little to show. Use larger originals where there are any.",
    ),
    "wrong_extension": (
        "Files whose name says another format than they have",
        "They are used as what they are. Rename them: other programs may go by the name.",
    ),
}


def of_files(problems: Sequence[Problem], files: int) -> Iterator[Check]:
    """One for every code. files: of the whole set, with those that the layout leaves out."""
    by_code: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_code[problem.code].append(problem)
    for code, found in by_code.items():
        paths = tuple(problem.path for problem in found[:MAX_EXAMPLES] if problem.path)
        if code in OF_FILES:
            what, advice = OF_FILES[code]
            message = f"{what}: {len(found):,} of {files:,}."
        else:  # what a layout leaves out, in its own words
            message, advice = found[0].message, "Correct what the examples show, and send the set again."
        yield Check(code, "warning", len(found), paths, message, advice)


def reasons(manifest: Manifest, bad: int, files: int) -> Iterator[Check]:
    """Why the set cannot be used; nothing where it can. bad: how many of its files are left out."""
    if bad > MAX_BAD * files:
        yield Check(
            "too_many_bad_files",
            "error",
            bad,
            (),
            f"At most {MAX_BAD:.0%} of a dataset's files may be bad; {bad:,} of {files:,} are.",
            "Repair or remove those listed in problems, and send the set again.",
        )
    counts = manifest.counts()
    left = [name for name in manifest.classes if any(counts[split][name] for split in counts)]
    if len(left) < 2:
        what = f"only {left[0]!r} has any" if left else "none has any"
        message = f"A dataset needs good pictures of at least two classes; {what}."
        yield Check("too_few_classes", "error", len(left), tuple(left), message, "Add pictures of another class.")
    untrained = [name for name in manifest.classes if not counts["train"][name]]
    if untrained:
        yield Check(
            "no_training_picture",
            "error",
            len(untrained),
            _some(untrained),
            f"Every class needs at least one good training picture; {_named(untrained)} has none.",
            "Add some, or remove the class.",
        )


def of_the_set(manifest: Manifest, traits: Mapping[str, Traits]) -> Iterator[Check]:
    """traits: of every picture, by sha256."""
    yield from _of_sizes(manifest.counts()["train"])
    yield from _of_split(
        manifest,
        "validation",
        "Ask for validation_split, or add some: without, no best epoch can be kept (recipe.keep 'best').",
    )
    yield from _of_split(
        manifest,
        "test",
        "Ask for test_split, or add some: validation pictures take part in choosing the model, and flatter it.",
    )
    if manifest.pictures and all(traits[picture.sha256].grey for picture in manifest.pictures):
        yield Check(
            "grey_only",
            "warning",
            len(manifest.pictures),
            tuple(picture.path for picture in manifest.pictures[:MAX_EXAMPLES]),
            "A dataset should look like what will be classified; every picture of this one is grey.",
            "Where that will have colours, add pictures that do. Where it is grey, too, nothing needs to be done, but "
            "the trunk was trained on colours, and is less sure without.",
        )


def _of_sizes(training: Mapping[str, int]) -> Iterator[Check]:
    """training: class -> training pictures."""
    sizes = sorted((count, name) for name, count in training.items() if count)
    if not sizes:
        return
    most, largest = sizes[-1]
    small = [name for count, name in sizes if count * MAX_IMBALANCE < most]
    if small:
        yield Check(
            "imbalance",
            "warning",
            len(small),
            _some(small),
            f"The largest class should have at most {MAX_IMBALANCE} times the training pictures of any other; "
            f"{largest!r} has {most:,}, and {small[0]!r} {training[small[0]]:,}.",
            "Add pictures to the small classes, or take some out of the large ones. Judge the model by the recall of "
            "each class: the accuracy hides the small ones.",
        )
    tiny = [name for count, name in sizes if count < MIN_CLASS]
    if tiny:
        yield Check(
            "tiny_class",
            "warning",
            len(tiny),
            _some(tiny),
            f"A class should have at least {MIN_CLASS} training pictures; {tiny[0]!r} has {training[tiny[0]]:,}.",
            "Add pictures, 100 a class if you can, or merge the class with another.",
        )


def _of_split(manifest: Manifest, split: Split, advice: str) -> Iterator[Check]:
    counts = manifest.counts()[split]
    without = [name for name in manifest.classes if not counts[name]]
    if without:
        what = "there are none" if len(without) == len(counts) else f"{_named(without)} has none"
        message = f"Every class should have pictures in the {split} split; {what}."
        yield Check(f"no_{split}", "warning", len(without), _some(without), message, advice)


def _some(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(names[:MAX_EXAMPLES])


def _named(names: Sequence[str]) -> str:
    """As the subject of a sentence in the singular."""
    return repr(names[0]) if len(names) == 1 else f"each of {len(names):,} classes, {names[0]!r} among them,"
