"""`auto` against the truth: which cut it chooses, and what each cut and each preset really reach, on five sets.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.auto --packages FOLDER [--sets cells objects] [--quick]

benchmarks.picture_sets says what the sets are and how to get the packages; a set whose package is not there is left
out. Each training is a job in a process of its own: `auto`, the two presets, then `auto` with each other cut, within
--budget seconds each. Prints each result at once and two tables at the end: linear probes beside test accuracies by
cut, from which the thresholds of graft.training.plan were read, and `auto` beside the presets. Seconds are of work:
`auto` and the presets find no features that were kept, the cuts find those of `auto`. By its rates, a set of 1,000
training pictures takes two cores about a quarter of an hour, and the smaller ones half of that.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.grafts import opened
from benchmarks.machine import Neighbours, assets, describe
from benchmarks.picture_sets import SETS, Files, NotThere, PictureSet
from benchmarks.trainings import Home, Training
from graft.training.plan.rules import PROBED
from tests.graft.datasets.filling import create
from tests.monitors import Recorder

PRESETS = ("feature-extraction", "fine-tuning")
DEEP = "block2_pool"  # tried where the whole set is small enough to afford it
DEEP_PICTURES = 600
QUICK_SHARE, QUICK_BUDGET, QUICK = 0.1, 20, {"epochs": 1}


@dataclass(frozen=True)
class Result:
    """What one training came to. test: the share of the test pictures that it told right."""

    cut: str
    test: float
    epochs: int
    seconds: float

    @classmethod
    def of(cls, training: Training, cut: str) -> "Result":
        metrics = training.metrics
        return cls(cut, metrics["test"]["accuracy"], metrics["epochs"], training.work.wall)

    def __str__(self) -> str:
        return f"{self.test:.3f} after {self.epochs} epochs, {self.seconds:.0f} s"


@dataclass(frozen=True)
class Findings:
    """Of one set. pictures: by split; probes: accuracy and standard error by cut; cuts: by cut; presets: by name."""

    name: str
    pictures: Mapping[str, int]
    classes: int
    probes: Mapping[str, tuple[float, float]]
    auto: Result
    presets: Mapping[str, Result]
    cuts: Mapping[str, Result]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--packages", type=Path, help="the folder with the packages of benchmarks.picture_sets")
    arguments.add_argument("--sets", nargs="+", choices=[s.name for s in SETS], default=[s.name for s in SETS])
    arguments.add_argument("--budget", type=int, default=300, help="seconds for each cut")
    arguments.add_argument(
        "--quick", action="store_true", help="a tenth of the pictures, presets for one epoch: to see that it runs"
    )
    asked = arguments.parse_args()
    print(f"{describe()}; precision auto", flush=True)
    neighbours, findings = Neighbours(), []
    for picture_set in [s for s in SETS if s.name in asked.sets]:
        try:
            files = picture_set.files(asked.packages, QUICK_SHARE if asked.quick else 1.0)
        except NotThere as missing:
            print(f"{picture_set.name} is left out: {missing}", flush=True)
            continue
        budget, shortened = (QUICK_BUDGET, QUICK) if asked.quick else (asked.budget, {})
        findings.append(find(picture_set, files, budget, shortened))
    if not findings:
        sys.exit("no set is there.")
    print(f"{neighbours}\n\n{cuts_table(findings)}\n\n{presets_table(findings)}")


def find(picture_set: PictureSet, files: Files, budget: int, shortened: Mapping[str, int]) -> Findings:
    splits = [name.split("/")[0] for name in files]
    pictures = {split: splits.count(split) for split in dict.fromkeys(splits)}
    classes = len({name.split("/")[1] for name in files})
    print(f"\n{picture_set.name}: {picture_set.about}; {pictures}, {classes} classes", flush=True)
    deep = [DEEP] if len(files) <= DEEP_PICTURES else []
    with home_with(files, picture_set.name) as home:
        training = home.train("auto", {"preset": "auto"})
        plan = next(stamp["data"] for stamp in training.stamps if stamp["type"] == "plan")
        auto = Result.of(training, plan["cut"])
        probes = {c["cut"]: (c["probe_accuracy"], c["probe_error"]) for c in plan["candidates"] if c["cut"] in PROBED}
        print(f"  auto: {auto.cut}, {auto}. {' '.join(plan['reasons'])}", flush=True)
        presets = {name: tried(home, name, {"preset": name, **shortened}) for name in PRESETS}
        cuts = {auto.cut: auto} | {
            cut: tried(home, cut, {"preset": "auto", "cut": cut, "time_budget": budget})
            for cut in [*PROBED, *deep]
            if cut != auto.cut
        }
    return Findings(picture_set.name, pictures, classes, probes, auto, presets, cuts)


def tried(home: Home, name: str, recipe: Mapping[str, Any]) -> Result:
    result = Result.of(home.train(name, recipe), recipe.get("cut", ""))
    print(f"  {name}: {result}", flush=True)
    return result


@contextmanager
def home_with(files: Files, name: str) -> Iterator[Home]:
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder), assets() / "weights") as stores:
        created = create(stores.datasets, files, name=name)
        ready = stores.datasets.validate(created.id, Recorder())
        if ready.revision is None:
            raise RuntimeError(f"{name} must be a good dataset; it is {ready.state}: {ready.problems[:3]}")
        yield Home(Path(folder), stores, ready.id, ready.revision)


def cuts_table(findings: Sequence[Findings]) -> str:
    cuts = [*PROBED, DEEP]
    head = ["set", "pictures: train, test", "classes", *(f"probe {cut}" for cut in PROBED), *cuts, "`auto` took"]
    rows = []
    for one in findings:
        probes = [f"{one.probes[cut][0]:.1%} ± {one.probes[cut][1]:.1%}" for cut in PROBED]
        best = max(result.test for result in one.cuts.values())
        reached = [_bold(one.cuts[cut], best) if cut in one.cuts else "" for cut in cuts]
        counts = f"{one.pictures['train']:,}, {one.pictures['test']:,}"
        rows.append([one.name, counts, str(one.classes), *probes, *reached, one.auto.cut])
    return _table(head, rows)


def presets_table(findings: Sequence[Findings]) -> str:
    head = ["set", "`auto`: test", "seconds", *(f"{x}" for name in PRESETS for x in (f"`{name}`: test", "seconds"))]
    rows = []
    for one in findings:
        results = [one.auto, *(one.presets[name] for name in PRESETS)]
        rows.append([one.name, *(x for r in results for x in (f"{r.test:.1%}", f"{r.seconds:.0f}"))])
    return _table(head, rows)


def _bold(result: Result, best: float) -> str:
    shown = f"{result.test:.1%}"
    return f"**{shown}**" if result.test == best else shown


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    main()
