"""Labelled pictures to try `auto` on: near to ImageNet's and far from them, few and many. The same in every run.

Two sets are drawn, one is the sign language digits, and three are made from packages that Graft does not need. A folder
with these is made by

    pip download --no-deps --dest FOLDER elpv-dataset==1.0.0.post1
    cd FOLDER && apt-get download tuxpaint-stamps-default=2022.06.04-1

elpv: Deitsch et al., solar cells under electroluminescence, CC BY-NC-SA 4.0. tuxpaint-stamps: cut-out photos of things,
GPL. Nothing of them is kept.
"""

import csv
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont, ImageOps

from benchmarks.machine import assets

CELLS = "elpv_dataset-1.0.0.post1-py3-none-any.whl"
STAMPS = "tuxpaint-stamps-default_2022.06.04-1_all.deb"
SPLITS = ("train", "valid", "test")
SIDE = 224
BACKGROUND = 4  # squares each way, of which a soft background is made

# Cut-out photos by what they show. Without cartoons and toys, and without the mirror images of others.
THINGS: dict[str, Sequence[str]] = {
    "bird": ["animals/birds/"],
    "mammal": ["animals/mammals/"],
    "food": ["food/"],
    "plant": ["plants/"],
    "vehicle": ["vehicles/", "military/vehicles/"],
    "household": ["household/"],
    "clothes": ["clothes/"],
}
NOT_PHOTOS = ("cartoon", "toys", "plastic", "_mirror")
MOST_A_THING = 40
TYPEFACES = {
    "dejavu-sans": "DejaVuSans",
    "dejavu-serif": "DejaVuSerif",
    "dejavu-mono": "DejaVuSansMono",
    "stix": "STIXGeneral",
    "stix-italic": "STIXGeneralItalic",
    "computer-modern": "cmr10",
    "computer-modern-sans": "cmss10",
    "computer-modern-typewriter": "cmtt10",
}

Files = dict[str, bytes]  # by path: split/class/name


class NotThere(Exception):
    """What a set is made from is missing; the message says how to get it."""


@dataclass(frozen=True)
class PictureSet:
    """A named set. a_class: pictures of each class in train, valid and test, where the source has so many."""

    name: str
    about: str
    a_class: tuple[int, int, int]
    make: Callable[[tuple[int, int, int], Path | None], Files]

    def files(self, packages: Path | None, share: float = 1.0) -> Files:
        """A `share` of its pictures. Raises NotThere."""
        train, valid, test = (max(2, round(count * share)) for count in self.a_class)
        return self.make((train, valid, test), packages)


def signs(a_class: tuple[int, int, int], _packages: Path | None) -> Files:
    """Photos of hands, all of the asset's splits shuffled and dealt anew: its own test split has only 50."""
    by_class: dict[str, list[bytes]] = {}
    for path in sorted((assets() / "sign-language-digits").glob("*/*/*")):
        by_class.setdefault(path.parent.name, []).append(path.read_bytes())
    return _dealt(by_class, a_class, "jpg")


def cells(a_class: tuple[int, int, int], packages: Path | None) -> Files:
    """Solar cells that surely work, and that surely do not."""
    by_class: dict[str, list[bytes]] = {"working": [], "defective": []}
    with zipfile.ZipFile(_package(packages, CELLS)) as wheel:
        labels = io.TextIOWrapper(wheel.open("elpv_dataset/data/labels.csv"))
        for path, defective, _ in csv.reader(labels, delimiter=" ", skipinitialspace=True):
            if float(defective) in (0.0, 1.0):
                name = "defective" if float(defective) else "working"
                by_class[name].append(wheel.read(f"elpv_dataset/data/{path}"))
    return _dealt(by_class, a_class, "png")


def objects(a_class: tuple[int, int, int], packages: Path | None) -> Files:
    """Each thing once, on white."""
    files: Files = {}
    for split, kind, number, stamp in _stamps_by_split(a_class, packages):
        picture = Image.new("RGBA", (SIDE, SIDE), "white")
        picture.alpha_composite(stamp, ((SIDE - stamp.width) // 2, (SIDE - stamp.height) // 2))
        files[f"{split}/{kind}/{number:04}.png"] = _png(picture)
    return files


def scenes(a_class: tuple[int, int, int], packages: Path | None) -> Files:
    """The same things, each in many sizes and places before soft colours; no thing is in two splits."""
    rng = np.random.default_rng(2)
    stamps: dict[tuple[str, str], list[Image.Image]] = {}
    for split, kind, _, stamp in _stamps_by_split((20, 8, 12), packages):
        stamps.setdefault((split, kind), []).append(stamp)
    files: Files = {}
    for (split, kind), things in stamps.items():
        for number in range(a_class[SPLITS.index(split)]):
            thing = things[number % len(things)].rotate(rng.uniform(-20, 20), Image.Resampling.BICUBIC, expand=True)
            size = round(rng.uniform(0.35, 0.9) * SIDE)
            thing = ImageOps.contain(thing, (size, size))
            place = tuple(int(rng.integers(0, max(1, SIDE - side + 1))) for side in thing.size)
            picture = _soft(rng)
            picture.alpha_composite(thing, (place[0], place[1]))
            files[f"{split}/{kind}/{number:04}.png"] = _png(picture)
    return files


def typefaces(a_class: tuple[int, int, int], _packages: Path | None) -> Files:
    """Three letters in one of eight typefaces, turned a little, faint or strong, on noise."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    files: Files = {}
    for label, (name, file) in enumerate(TYPEFACES.items()):
        rng = np.random.default_rng([3, label])
        for split, count in zip(SPLITS, a_class, strict=True):
            for number in range(count):
                font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{file}.ttf", int(rng.integers(44, 84)))
                text = "".join(rng.choice(list(letters), 3))
                page = Image.new("L", (SIDE, SIDE), 0)
                ImageDraw.Draw(page).text((SIDE // 2, SIDE // 2), text, 255, font, anchor="mm")
                ink = np.asarray(page.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC)) / 255
                paper, strength = rng.uniform(150, 230), rng.uniform(60, 140)
                pixels = paper - strength * ink + rng.normal(0, 12, ink.shape)
                picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGBA")
                files[f"{split}/{name}/{number:04}.png"] = _png(picture)
    return files


SETS = (
    PictureSet("signs", "photos of hands that show digits", (100, 20, 40), signs),
    PictureSet("cells", "solar cells, whole or broken", (500, 75, 140), cells),
    PictureSet("scenes", "photos of things before soft colours", (145, 28, 56), scenes),
    PictureSet("objects", "photos of things, cut out", (20, 8, 12), objects),
    PictureSet("typefaces", "letters in eight typefaces", (30, 10, 25), typefaces),
)


def _dealt(by_class: Mapping[str, list[bytes]], a_class: tuple[int, int, int], suffix: str) -> Files:
    files: Files = {}
    for label, (name, pictures) in enumerate(sorted(by_class.items())):
        order = np.random.default_rng([1, label]).permutation(len(pictures))[: sum(a_class)]
        for split, places in zip(SPLITS, np.split(order, np.cumsum(a_class)[:-1]), strict=True):
            files |= {f"{split}/{name}/{place:05}.{suffix}": pictures[place] for place in places}
    return files


def _stamps_by_split(
    a_class: tuple[int, int, int], packages: Path | None
) -> Iterator[tuple[str, str, int, Image.Image]]:
    """Split, what it shows, number, and the cut-out itself; of classes with fewer, each split gets its share."""
    for label, (kind, stamps) in enumerate(_stamps(packages).items()):
        order = np.random.default_rng([4, label]).permutation(len(stamps))[: min(sum(a_class), MOST_A_THING)]
        ends = np.cumsum(a_class) / sum(a_class) * len(order)
        for split, places in zip(SPLITS, np.split(order, np.round(ends[:-1]).astype(int)), strict=True):
            for number, place in enumerate(places):
                yield split, kind, number, stamps[place]


def _stamps(packages: Path | None) -> dict[str, list[Image.Image]]:
    archive = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", _package(packages, STAMPS)], capture_output=True, check=True
    ).stdout
    found: dict[str, list[Image.Image]] = {kind: [] for kind in THINGS}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            path = member.name.partition("/stamps/")[2]
            kind = next((kind for kind, folders in THINGS.items() if path.startswith(tuple(folders))), None)
            data = tar.extractfile(member)
            if kind is None or data is None or not path.endswith(".png") or any(word in path for word in NOT_PHOTOS):
                continue
            stamp = Image.open(io.BytesIO(data.read())).convert("RGBA")
            stamp.thumbnail((SIDE - 12, SIDE - 12))
            found[kind].append(stamp)
    return found


def _soft(rng: np.random.Generator) -> Image.Image:
    squares = Image.fromarray(rng.integers(0, 256, (BACKGROUND, BACKGROUND, 3), np.uint8))
    return squares.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGBA")


def _package(packages: Path | None, name: str) -> Path:
    path = (packages or Path()) / name
    if packages is None or not path.is_file():
        raise NotThere(f"{name} is not in --packages; {__name__} says how to get it.")
    return path


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
