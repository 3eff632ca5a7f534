"""What a picture is like, for the checks of a dataset."""

from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from graft import images

# By how much the channels of a grey pixel may differ: WebP's decoder rounds each by itself, and is off by one.
_GREY_STEPS: Final = 2
_GREY_MODES: Final = {"1", "L", "I", "F"} | {f"I;16{order}" for order in ("", "L", "B", "N")}


@dataclass(frozen=True, slots=True)
class Traits:
    """format: as `images.sniff` calls it; width, height: as stored; frames: whether it has several; grey: whether no
    pixel that `images.decode` picks by nearest has a colour."""

    format: str
    width: int
    height: int
    frames: bool
    grey: bool


def traits(data: bytes, *, max_pixels: int = images.MAX_PIXELS) -> Traits:
    """Of any picture that `images.decode` takes, at less cost. Raises as that does."""
    with images.loaded(data, max_pixels) as image:
        return Traits(images.sniffed(data), *image.size, _has_frames(image), _is_grey(image))


def _has_frames(image: Image.Image) -> bool:
    """Whether a loaded picture is an animation, or has several pages. A camera's JPEG with a preview behind it is not.

    Only the header of a second frame is read.
    """
    if isinstance(image, JpegImageFile):
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # damaged behind the first frame, which is the one that counts
        return False


def _is_grey(image: Image.Image) -> bool:
    """See Traits. Of nearly every colour picture the first of a few pixels tells it. Raises ValueError where RGB cannot
    be made of the picture's mode, as `images.decode` does."""
    if image.mode in _GREY_MODES:
        return True
    few = iter(image.resize((8, 8), Image.Resampling.NEAREST).convert("RGB").tobytes())
    if any(abs(r - g) > _GREY_STEPS or abs(g - b) > _GREY_STEPS for r, g, b in zip(few, few, few, strict=True)):
        return False
    red, green, blue = image.resize((images.SIZE, images.SIZE), Image.Resampling.NEAREST).convert("RGB").split()
    differences = (ImageChops.difference(red, green), ImageChops.difference(green, blue))
    return not any(any(difference.histogram()[_GREY_STEPS + 1 :]) for difference in differences)
