"""Filling a store through a trunk that costs nothing: what goes through it, how often, and what is said of it."""

import threading
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graft.errors import Interrupted
from graft.training.features import FeatureKind, FeatureStore, View, extraction, fill
from graft.training.features import store as store_module
from graft.training.features.extraction import NO_ROOM, NOT_WORTH_IT
from graft.training.features.extractor import BATCH
from graft.training.features.shards import header_size
from graft.training.recipe import Augmentation
from graft.vgg16.trunk import Features
from tests.graft.training.features.pictures import KIND, File, Trunk, digests, files, pixels
from tests.monitors import Recorder

PLENTY = 10**9
WHOLE = replace(KIND, cut="block4_pool", pooling=None)
HUGE = replace(KIND, cut="block1_pool", pooling=None)
PICTURES = files(19)


def run(
    root: Path,
    trunk: Trunk,
    kinds: list[FeatureKind],
    pictures: list[File] = PICTURES,
    *,
    monitor: Recorder | None = None,
    budget: int = PLENTY,
) -> dict[str, Features]:
    """Fill, then read every kind: its rows by cut."""
    store, everything = FeatureStore(root, budget), np.arange(len(pictures))
    with fill(store, kinds, pictures, pixels, lambda: trunk, monitor or Recorder()) as extracted:
        rows = {kind.cut: extracted.rows(kind, everything) for kind in kinds}
    for kind in kinds:
        assert rows[kind.cut].shape == (len(pictures), *kind.shape)
        assert rows[kind.cut].dtype == np.float32
        colours = [file.colour for file in pictures]
        np.testing.assert_array_equal(rows[kind.cut].reshape(len(pictures), -1)[:, -1], colours)
    return rows


def test_one_pass_for_all_kinds_and_none_for_what_is_there(tmp_path: Path) -> None:
    trunk = Trunk()
    run(tmp_path, trunk, [KIND, WHOLE])
    assert Counter(trunk.seen) == Counter((p.colour, frozenset({KIND.cut, WHOLE.cut})) for p in PICTURES)
    run(tmp_path, again := Trunk(), [WHOLE, KIND])
    assert again.seen == []


def test_only_what_is_lacking_of_each_kind(tmp_path: Path) -> None:
    run(tmp_path, Trunk(), [KIND], PICTURES[:5])
    run(tmp_path, trunk := Trunk(), [KIND, WHOLE])
    cuts = [{WHOLE.cut}] * 5 + [{KIND.cut, WHOLE.cut}] * 14
    assert Counter(trunk.seen) == Counter((p.colour, frozenset(c)) for p, c in zip(PICTURES, cuts, strict=True))


def test_the_same_content_twice_is_computed_once(tmp_path: Path) -> None:
    run(tmp_path, trunk := Trunk(), [KIND], [*PICTURES, *PICTURES[::-1]])
    assert len(trunk.seen) == len(PICTURES)


def test_no_pictures_are_no_work(tmp_path: Path) -> None:
    monitor = Recorder()
    with fill(FeatureStore(tmp_path, PLENTY), [KIND], list[File](), pixels, Trunk, monitor) as extracted:
        assert extracted.rows(KIND, np.zeros(0, np.int64)).shape == (0, 512)
    assert monitor.reports == []


def test_what_is_cheaper_to_compute_is_computed_whenever_it_is_asked_for(tmp_path: Path) -> None:
    run(tmp_path, trunk := Trunk(), [HUGE], PICTURES[:3], monitor=(monitor := Recorder()))
    assert len(trunk.seen) == 3
    assert [data for _, data in monitor.events] == [
        {"cut": "block1_pool", "pooling": None, "kept": 0, "to_compute": 0, "streamed": 3, "reason": NOT_WORTH_IT}
    ]
    assert [path.name for path in tmp_path.iterdir()] == []


def test_pictures_themselves_need_no_trunk(tmp_path: Path) -> None:
    run(tmp_path, trunk := Trunk(), [replace(KIND, cut="input", pooling=None)], PICTURES[:3])
    assert trunk.seen == []


def test_what_does_not_fit_is_computed_again_and_said(tmp_path: Path) -> None:
    room = header_size(19) + 12 * KIND.row_bytes
    run(tmp_path, trunk := Trunk(), [KIND], monitor=(monitor := Recorder()), budget=room)
    assert len(trunk.seen) == 19
    assert monitor.events[-1][1] == {"cut": KIND.cut, "pooling": "avg", "streamed": 7, "reason": NO_ROOM}
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.shard")) <= room
    run(tmp_path, again := Trunk(), [KIND], budget=room)
    assert len(again.seen) == 7


def test_a_disk_that_fills_up_keeps_no_job_from_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    run(tmp_path, Trunk(), [KIND], monitor=(monitor := Recorder()))
    assert monitor.events[-1][1]["streamed"] == 19
    assert list(tmp_path.rglob("*.partial")) == []


def test_a_request_to_stop_keeps_what_was_computed(tmp_path: Path) -> None:
    pictures = files(100)
    with pytest.raises(Interrupted, match="of 100 pictures computed"):
        run(tmp_path, first := Trunk(), [KIND], pictures, monitor=Recorder(stop_after=1))
    assert 8 <= len(first.seen) < 100
    run(tmp_path, second := Trunk(), [KIND], pictures, monitor=(monitor := Recorder()))
    assert len(first.seen) + len(second.seen) == 100
    assert monitor.events[0][1] == {
        "cut": KIND.cut,
        "pooling": "avg",
        "kept": len(first.seen),
        "to_compute": len(second.seen),
        "streamed": 0,
    }


def test_a_picture_that_cannot_be_decoded_loses_no_earlier_one(tmp_path: Path) -> None:
    pictures = files(200)
    last = max(pictures, key=lambda file: file.sha256)

    def broken(file: File) -> np.ndarray:
        if file == last:
            raise ValueError("no picture")
        return pixels(file)

    with pytest.raises(ValueError, match="no picture"):
        fill(FeatureStore(tmp_path, PLENTY), [KIND], pictures, broken, Trunk, Recorder())
    run(tmp_path, trunk := Trunk(), [KIND], pictures)
    assert len(trunk.seen) == BATCH


def test_progress_counts_pictures_and_says_how_long_it_takes(tmp_path: Path) -> None:
    run(tmp_path, Trunk(), [KIND, WHOLE], monitor=(monitor := Recorder()))
    assert [(p.phase, p.step, p.steps) for p in monitor.reports] == [("extracting", n, 19) for n in (8, 16, 19)]
    assert monitor.reports[0].rate is None
    assert monitor.reports[-1].eta_seconds == 0


def test_progress_counts_what_each_view_lacks(tmp_path: Path) -> None:
    views = [replace(KIND, view=View(Augmentation(), 3, number)) for number in range(2)]
    run(tmp_path, Trunk(), views[:1], PICTURES[:9])
    run(tmp_path, Trunk(), views, monitor=(monitor := Recorder()))
    assert [(p.step, p.steps) for p in monitor.reports] == [(n, 29) for n in (8, 10, 18, 26, 29)]


def test_views_are_computed_once_each_and_differ(tmp_path: Path) -> None:
    views = [replace(KIND, view=View(Augmentation(brightness=0.5), 3, number)) for number in range(3)]

    def rows(trunk: Trunk, monitor: Recorder) -> list[list[float]]:
        with fill(FeatureStore(tmp_path, PLENTY), views, PICTURES, pixels, lambda: trunk, monitor) as extracted:
            return [extracted.rows(view, np.arange(len(PICTURES)))[:, 0].tolist() for view in views]

    first = rows(trunk := Trunk(), Recorder())
    assert len(trunk.seen) == 3 * len(PICTURES)
    assert len({tuple(of_view) for of_view in first}) == 3
    assert rows(again := Trunk(), monitor := Recorder()) == first
    assert again.seen == []
    assert [data["kept"] for _, data in monitor.events] == [3 * len(PICTURES)]


class Shared(Trunk):
    """It waits at its first batch until somebody else is at theirs."""

    def __init__(self, both: threading.Barrier) -> None:
        super().__init__()
        self._both: threading.Barrier | None = both

    def run(self, pictures: Features, start: str, cuts: Collection[str]) -> dict[str, Features]:
        both, self._both = self._both, None
        if both:
            both.wait(60)
        return super().run(pictures, start, cuts)


def test_two_workers_never_compute_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SHARD_PICTURES", 16)
    monkeypatch.setattr(extraction, "POLL_SECONDS", 0.01)
    pictures, both = files(150), threading.Barrier(2)
    trunks = [Shared(both), Shared(both)]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, tmp_path, trunk, [KIND, WHOLE], pictures) for trunk in trunks]:
            done.result()
    assert Counter(c for t in trunks for c, _ in t.seen) == Counter(p.colour for p in pictures)
    assert all(trunk.seen for trunk in trunks)


def test_a_wait_for_another_worker_ends_with_a_request_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "POLL_SECONDS", 0.01)
    other = FeatureStore(tmp_path, PLENTY)
    with other.open([KIND], digests(PICTURES)) as kept:
        (claim,) = other.claim(kept, {KIND: ~kept.has(KIND)})
        with pytest.raises(Interrupted, match="the features of 0 of 19"):
            run(tmp_path, trunk := Trunk(), [KIND], monitor=Recorder(stop_after=2))
        assert claim.partial is not None
        claim.partial.discard()
    assert trunk.seen == []
