import hashlib
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from graft.datasets.manifest import SPLITS, Manifest, Picture

pictures = st.lists(
    st.builds(Picture, st.text(max_size=8), st.sampled_from(SPLITS), st.integers(0, 1), st.text("0123456789abcdef")),
    unique_by=lambda picture: picture.path,
)


@given(pictures, st.randoms(use_true_random=False))
def test_the_revision_ignores_order_and_paths(listed: list[Picture], rng: random.Random) -> None:
    revision = Manifest.of_pictures(["cats", "dogs"], listed).revision
    renamed = [Picture(f"{i}.jpg", p.split, p.label, p.sha256) for i, p in enumerate(listed)]
    rng.shuffle(renamed)
    assert Manifest.of_pictures(["cats", "dogs"], renamed).revision == revision


def test_the_revision_is_a_hash_over_sorted_lines() -> None:
    manifest = Manifest.of_pictures(["a", "b"], [Picture("x", "train", 1, "ff"), Picture("y", "test", 0, "00")])
    assert manifest.revision == hashlib.sha256(b'["test","a","00"]\n["train","b","ff"]').hexdigest()


def test_the_revision_tells_split_class_content_and_copies_apart() -> None:
    base = [Picture("a", "train", 0, "aa"), Picture("b", "train", 1, "bb")]
    others = [
        [Picture("a", "test", 0, "aa"), base[1]],
        [Picture("a", "train", 1, "aa"), base[1]],
        [Picture("a", "train", 0, "ab"), base[1]],
        [*base, Picture("copy", "train", 0, "aa")],
    ]
    revisions = {Manifest.of_pictures(["cats", "dogs"], listed).revision for listed in (base, *others)}
    assert len(revisions) == 5


@given(pictures)
def test_splits_partition_the_pictures(listed: list[Picture]) -> None:
    manifest = Manifest.of_pictures(["cats", "dogs"], listed)
    parts = [manifest.of(split) for split in SPLITS]
    assert sorted((p for part in parts for p in part), key=lambda p: p.path) == list(manifest.pictures)
    assert sum(n for classes in manifest.counts().values() for n in classes.values()) == len(listed)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    manifest = Manifest.of_pictures(["caf\u00e9", "b"], [Picture("caf\u00e9/1.jpg", "train", 0, "00")])
    manifest.write(tmp_path / "new" / "manifest.json")
    assert Manifest.read(tmp_path / "new" / "manifest.json") == manifest
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["manifest.json"]
