"""The store without a trunk: rows come back right or not at all, whatever happens to the files and to their writers."""

import errno
import fcntl
import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.errors import DiskFull
from graft.training.features import FeatureStore
from graft.training.features import store as store_module
from graft.training.features.kept import Kept
from graft.training.features.shards import PARTIAL, WHOLE, PartialShard, claimed, header_size
from graft.types import InputKey
from tests.graft.training.features.pictures import KIND, digests, expected, files, fill_up

PLENTY = 10**9
OTHER = replace(KIND, input=InputKey(precision="bfloat16"), pooling="max")
SHARD = 3  # pictures
SHARD_BYTES = header_size(SHARD) + SHARD * KIND.row_bytes


@pytest.fixture(autouse=True)
def small_shards() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "SHARD_PICTURES", SHARD)
        yield


def shards(root: Path) -> list[Path]:
    return sorted(root.rglob(f"*{WHOLE}"))


def bytes_under(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def right(kept: Kept, kind: object = KIND) -> int:
    """How many rows there are; every one is right."""
    everything = np.arange(len(kept.digests))
    rows, found = kept.read(kind, everything)  # type: ignore[arg-type]
    np.testing.assert_array_equal(rows[found], expected(kept, kind, everything[found]))  # type: ignore[arg-type]
    return int(found.sum())


def test_what_is_written_is_there_for_the_writer_and_for_the_next(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, PLENTY)
    with store.open([KIND, OTHER], digests(files(10))) as kept:
        assert (right(kept), right(kept, OTHER)) == (0, 0)
        fill_up(store, kept, [KIND, OTHER])
        assert (right(kept), right(kept, OTHER)) == (10, 10)
    with FeatureStore(tmp_path, PLENTY).open([KIND, OTHER], digests(files(14, first=4))) as kept:
        assert (right(kept), right(kept, OTHER)) == (6, 6)
        assert kept.read(OTHER, np.array([2, 0]))[0].dtype.itemsize == 2
    assert len(shards(tmp_path)) == 2 * 4


def test_nobody_takes_in_hand_what_another_has(tmp_path: Path) -> None:
    one, two = FeatureStore(tmp_path, PLENTY), FeatureStore(tmp_path, PLENTY)
    wanted = digests(files(2 * SHARD))
    with one.open([KIND], wanted) as ours, two.open([KIND], wanted) as theirs:
        lacking = {KIND: np.ones(len(wanted), bool)}
        (first,), (second,) = one.claim(ours, lacking), two.claim(theirs, lacking)
        assert (first.indices.tolist(), second.indices.tolist()) == ([0, 1, 2], [3, 4, 5])
        assert one.claim(ours, lacking) == []
        assert first.partial is not None
        assert second.partial is not None
        first.partial.discard()
        (again,) = two.claim(theirs, lacking)
        assert again.indices.tolist() == [0, 1, 2]
        assert again.partial is not None
        again.partial.append(wanted[0], expected(theirs, KIND, np.array([0]))[0])
        two.finish(again, theirs)  # a request to stop came: a shard of one
        assert one.claim(ours, lacking)[0].indices.tolist() == [1, 2]
        assert right(ours) == right(theirs) == 1


def test_a_dead_writer_s_claim_is_free_and_its_file_is_swept(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, PLENTY)
    with store.open([KIND], digests(files(SHARD))) as kept:
        (claim,) = store.claim(kept, {KIND: ~kept.has(KIND)})
        left = next(tmp_path.rglob(f"*{PARTIAL}"))
        content = left.read_bytes()
        assert claim.partial is not None
        claim.partial.discard()
        left.write_bytes(content)  # as after SIGKILL: the file is there, the lock is not
        fill_up(store, kept)
        assert right(kept) == SHARD
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"] == [WHOLE]


def test_a_writer_whose_file_was_swept_away_has_written_nothing(tmp_path: Path) -> None:
    """As where locks do not reach: on some network file systems."""
    store = FeatureStore(tmp_path, PLENTY)
    with store.open([KIND], digests(files(SHARD))) as kept:
        (claim,) = store.claim(kept, {KIND: ~kept.has(KIND)})
        assert claim.partial is not None
        claim.partial.append(kept.digests[0], expected(kept, KIND, np.array([0]))[0])
        next(tmp_path.rglob(f"*{PARTIAL}")).unlink()
        store.finish(claim, kept)
        assert right(kept) == 0


def test_the_least_recently_used_shards_make_room_and_held_ones_do_not(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 3 * SHARD_BYTES)
    old, used, held, new = (digests(files(SHARD, first=10 * i)) for i in range(4))
    with store.open([KIND], held) as holding:
        fill_up(store, holding)
        for wanted, written in ((used, 1e9), (old, 1.5e9)):  # seconds since 1970
            with store.open([KIND], wanted) as kept:
                fill_up(store, kept)
                os.utime(kept.held(KIND)[0].path, (written, written))
        store.open([KIND], used).close()
        with store.open([KIND], new) as kept:
            fill_up(store, kept)
            assert right(kept) == SHARD
        assert right(holding) == SHARD
    for wanted, count in ((old, 0), (used, SHARD), (held, SHARD), (new, SHARD)):
        with store.open([KIND], wanted) as kept:
            assert right(kept) == count


def test_a_budget_is_used_to_the_last_row_and_what_does_not_fit_is_said(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, SHARD_BYTES + SHARD_BYTES // 2)
    with store.open([KIND], digests(files(9))) as kept:
        lacking = {KIND: np.ones(9, bool)}
        (first,) = store.claim(kept, lacking)
        lacking[KIND][first.indices] = False
        part, rest = store.claim(kept, lacking)
        assert part.partial is not None
        assert (part.indices.tolist(), rest.indices.tolist(), rest.partial) == ([3], [4, 5], None)
        assert bytes_under(tmp_path) <= store.budget
        for claim in (first, part):
            assert claim.partial is not None
            claim.partial.discard()


def test_a_full_disk_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store = FeatureStore(tmp_path, PLENTY)
    with store.open([KIND], digests(files(SHARD))) as kept:
        (claim,) = store.claim(kept, {KIND: ~kept.has(KIND)})
        assert claim.partial is not None
        claim.partial.append(kept.digests[0], expected(kept, KIND, np.array([0]))[0])
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(DiskFull):
            store.finish(claim, kept)
        claim.partial.discard()
        monkeypatch.setattr("os.pwrite", full)
        (refused,) = store.claim(kept, {KIND: ~kept.has(KIND)})
        assert refused.partial is None
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (WHOLE, PARTIAL)]


def test_a_job_may_hold_more_shards_than_a_process_may_open_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SHARD_PICTURES", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = max(int(path.name) for path in Path("/dev/fd").iterdir()) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        store = FeatureStore(tmp_path, PLENTY)
        with store.open([KIND], digests(files(40))) as kept:
            fill_up(store, kept)
            assert right(kept) == 40
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_budget_half_of_the_free_disk_is_what_there_is(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert 0 < FeatureStore(tmp_path).budget <= min(20 * 2**30, free)


@given(st.data())
@settings(max_examples=60)
def test_damage_at_any_byte_leaves_rows_right_or_absent(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("store")
    store, wanted = FeatureStore(root, PLENTY), digests(files(SHARD))
    with store.open([KIND], wanted) as kept:
        fill_up(store, kept)
    (path,) = shards(root)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, header_size(SHARD)))
    cut_off = data.draw(st.booleans())
    if cut_off:
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with store.open([KIND], wanted) as kept:
        assert not (cut_off and kept.has(KIND).any())
        assert right(kept) < SHARD
        fill_up(store, kept)
    with store.open([KIND], wanted) as kept:
        fill_up(store, kept)
        assert right(kept) == SHARD


ACTIONS = ("open", "close", "fill", "crash", "cut", "spoil", "read")


@given(
    st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5), st.integers(0, SHARD_BYTES)), max_size=25),
    st.integers(0, 5 * SHARD_BYTES),
)
@settings(max_examples=100)
def test_whatever_happens_in_whatever_order(
    tmp_path_factory: pytest.TempPathFactory, todo: list[tuple[str, int, int]], budget: int
) -> None:
    """Rows are right or absent, the budget is kept, and what a running job holds stays."""
    root = tmp_path_factory.mktemp("store")
    jobs: list[tuple[FeatureStore, Kept]] = []
    damaged: set[Path] = set()
    for action, which, where in todo:
        found = shards(root)
        if action == "open":
            store = FeatureStore(root, budget)
            jobs.append((store, store.open([KIND], digests(files(2 * SHARD, first=2 * which)))))
        elif action in ("cut", "spoil"):
            if found:
                damage(found[which % len(found)], action, where)
                damaged.add(found[which % len(found)])
        elif jobs:
            store, kept = jobs[which % len(jobs)]
            if action == "close":
                jobs.remove((store, kept))
                kept.close()
            elif action == "fill":
                fill_up(store, kept)
            elif action == "crash":
                for claim in store.claim(kept, {KIND: ~kept.has(KIND)}):
                    if claim.partial:
                        die(claim.partial)
            else:
                right(kept)
        assert bytes_under(root) <= budget
        held = {shard.path for _, kept in jobs for shard in kept.held(KIND)}
        assert held <= damaged | set(shards(root))
    for _, kept in jobs:
        right(kept)
        kept.close()


def damage(path: Path, how: str, where: int) -> None:
    """In the file itself: those who hold it have the damage, too."""
    with path.open("r+b") as file:
        at = where % max(1, path.stat().st_size)
        if how == "cut":
            file.truncate(at)
        elif byte := file.read()[at : at + 1]:
            file.seek(at)
            file.write(bytes([byte[0] ^ 255]))


def die(partial: PartialShard) -> None:
    """Leave it as a process does that is killed."""
    os.close(partial._descriptor)


def test_without_locks_a_writer_is_alive_until_it_has_long_been_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system may have none: then rows may be computed twice, and nobody's are thrown away."""

    def refused(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    store = FeatureStore(tmp_path, PLENTY)
    with store.open([KIND], digests(files(2 * SHARD))) as kept:
        (mine,) = store.claim(kept, {KIND: ~kept.has(KIND)})
        (partial,) = tmp_path.rglob(f"*{PARTIAL}")
        in_hand = claimed(partial)
        assert in_hand is not None
        assert len(in_hand) == SHARD
        fill_up(store, kept, [KIND])
        assert right(kept) == SHARD
        os.utime(partial, (0, 0))
        assert claimed(partial) is None
        assert not partial.exists()
        assert mine.partial
        mine.partial.discard()
