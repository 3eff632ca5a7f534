from pathlib import Path

from graft.datasets import Datasets
from graft.imagenet import imagenet_classes
from tests.drawing import jpeg
from tests.graft.datasets.layouts.reading import DOT, read, sources
from tests.graft.datasets.layouts.ready import counts, ready


def test_folders_named_by_wnid_become_words(datasets: Datasets) -> None:
    wnids = ["n02123045", "n02012849", "n03126707"]
    files = {f"ILSVRC/{split}/{wnid}/{wnid}_{i}.JPEG": jpeg("discs", 10 * i + n)
             for n, wnid in enumerate(wnids) for i, split in enumerate(["train", "val"])}  # fmt: skip
    dataset, manifest = ready(datasets, files)
    each = {"tabby": 1, "crane (n02012849)": 1, "crane (n03126707)": 1}
    assert counts(dataset) == {"train": each, "validation": each}
    for picture in manifest.pictures:
        wnid = picture.path.split("/")[2]
        label = manifest.classes[picture.label]
        assert wnid in label or dict(imagenet_classes())[wnid] == label


def test_all_thousand_stay_apart_and_others_keep_their_id(tmp_path: Path) -> None:
    wnids = [wnid for wnid, _ in imagenet_classes()] + ["n00000000"]
    labels = {file.label for file in read(sources(tmp_path, {f"{wnid}/1.jpg": DOT for wnid in wnids})).files}
    assert len(labels) == 1001
    assert {"n00000000", "tench", "maillot (n03710637)", "maillot (n03710721)"} <= labels


def test_a_folder_that_only_looks_like_one_among_others_keeps_its_name(tmp_path: Path) -> None:
    listing = read(sources(tmp_path, {"n02123045/1.jpg": DOT, "dogs/1.jpg": DOT}))
    assert {file.label for file in listing.files} == {"n02123045", "dogs"}
