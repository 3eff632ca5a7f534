"""What is wrong with files, in words for programs and in words for people."""

from dataclasses import dataclass

from graft.errors import NotAPicture, TooLarge, Truncated


@dataclass(frozen=True)
class Problem:
    """path: None when it is about several files, or the whole set. code: for programs, message: for people. left_out:
    not used."""

    path: str | None
    code: str
    message: str
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a content is no usable picture, under whatever path."""

    code: str
    message: str


def flaw(error: NotAPicture | TooLarge) -> Flaw:
    """As decoding a picture failed."""
    match error:
        case Truncated():
            return Flaw("truncated", str(error))
        case TooLarge():
            return Flaw("too_large", str(error))
        case _:
            return Flaw("not_a_picture", str(error))
