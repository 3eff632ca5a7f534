"""The rules for the names of files that are sent: such as every common file system can hold, side by side."""

import re
import unicodedata
from typing import Final

from graft.errors import InvalidInput, TooLarge

MAX_NAME = 1024  # characters
MAX_PART = 255  # bytes, as on every common file system
MEAN_NAME = 128  # characters, over an upload: its names are in memory together
_SYSTEM_FILES: Final = {"thumbs.db", "desktop.ini"}
_DOWNLOADED = ":Zone.Identifier"  # Windows' note beside a file from the web, which WSL copies as a file
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Controls of direction and layout, except the joiners that Persian, Hindi and emoji are written with.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_JOINER: Final = re.compile("[\u200c\u200d]")
_NOT_TEXT: Final = re.compile("[\ud800-\udfff\ufffd]")  # what Python, or a lenient decoder, makes of other bytes
_DEVICE: Final = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?", re.IGNORECASE
)


def clean_path(name: str) -> str:
    """The name as a relative path in Unicode's composed form. Raises InvalidInput.

    Nothing is ever written under this path: it says the class and the split, and names the file in messages.
    """
    rule = _too_long(name)
    path = name if rule else unicodedata.normalize("NFC", name)
    if rule := rule or _broken_rule(path):
        raise InvalidInput(
            f"A file's name {rule}; received {shown(name)}. Send the folder again with plain relative names."
        )
    return "/".join(_parts(path))


def clean_folder(name: str) -> str:
    """The same for a folder's name, which may end with a slash; empty for the folder that holds all."""
    return clean_path(name.rstrip("/")) if _parts(name) else ""


def _too_long(name: str) -> str | None:
    if len(name) > MAX_NAME or any(len(part.encode(errors="surrogatepass")) > MAX_PART for part in name.split("/")):
        return f"may have at most {MAX_NAME} characters, and {MAX_PART} bytes between slashes"
    return None


def _broken_rule(name: str) -> str | None:
    parts = _parts(name)
    if _NOT_TEXT.search(name):
        return "must be UTF-8"
    if _CONTROL.search(name):
        return "may not hold control characters"
    if _INVISIBLE.search(name):
        return "may not hold invisible characters, such as those that turn the direction of text"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "must be relative"
    if "\\" in name:
        return "must use / between folders"
    if ".." in name.split("/"):
        return "may not hold '..'"
    if not parts:
        return "may not be empty"
    if name.endswith(("/", "/.")):
        return "may not end like a folder's"
    if ":" in name.removesuffix(_DOWNLOADED):
        return "may not hold a colon, which Windows has for drives and streams"
    if any(part.endswith((".", " ")) for part in parts):
        return "may not end with a dot or a space, nor may a folder's, as Windows drops them"
    if any(_DEVICE.fullmatch(part) for part in parts):
        return "may not be one of Windows' devices (CON, PRN, AUX, NUL, COM1, LPT1), whatever follows a dot"
    return None


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def shown(name: str) -> str:
    """For messages: short, and in ASCII."""
    return ascii(name if len(name) <= 80 else f"{name[:77]}...")


def is_ignored(path: str) -> bool:
    """Hidden files and what macOS and Windows leave behind."""
    parts = path.split("/")
    return (
        any(p.startswith(".") or p == "__MACOSX" for p in parts)
        or parts[-1].lower() in _SYSTEM_FILES
        or path.endswith(_DOWNLOADED)
    )


# What a folder holds: the name as it is compared -> the name as it was sent, and what a folder holds in turn.
_Folder = dict[str, "tuple[str, _Folder | None]"]


class NameTree:
    """The names of one upload, by `clean_path`. Raises InvalidInput for two that no common file system keeps apart.

    Raises TooLarge for more names than `entries`, for more folders, and when they are long altogether.
    """

    def __init__(self, entries: int) -> None:
        self._limit = entries
        self._names = 0
        self._folders = 0
        self._characters = 0
        self._top: _Folder = {}

    def count(self, name: str) -> None:
        """Of a file or folder, whether it is added or not."""
        self._names += 1
        self._characters += len(name)
        if max(self._names, self._folders) > self._limit:
            raise TooLarge(
                f"An upload may have at most {self._limit:,} entries; this one has more. Send fewer pictures."
            )
        if self._characters > self._limit * MEAN_NAME:
            raise TooLarge(
                f"The names of an upload may have at most {self._limit * MEAN_NAME:,} characters altogether; these "
                "have more. Send fewer pictures, or shorten the names of their folders."
            )

    def add_file(self, path: str) -> None:
        *parents, name = path.split("/")
        folder = self._open(parents, path)
        key = _compared(name)
        if key in folder:
            there, content = folder[key]
            raise _same(path, name, there) if content is None else _both(path)
        folder[key] = (name, None)

    def add_folder(self, path: str) -> None:
        self._open(path.split("/"), path)

    def _open(self, parts: list[str], path: str) -> _Folder:
        folder = self._top
        for name in parts:
            key = _compared(name)
            found = folder.get(key)
            if found is None:
                self._folders += 1
                found = folder[key] = (name, {})
            there, content = found
            if there != name:
                raise _same(path, name, there)
            if content is None:
                raise _both(path)
            folder = content
        return folder


def _compared(name: str) -> str:
    """Alike for names that look alike or that macOS and Windows take for one (Unicode 3.13, canonical caseless)."""
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFD", _JOINER.sub("", name))
    return unicodedata.normalize("NFD", decomposed.casefold())


def _same(path: str, name: str, there: str) -> InvalidInput:
    if name == there:
        return InvalidInput(
            f"Names in an upload must differ; {shown(path)} is there twice. Remove one of the two, "
            "or send each under its path in the folder, such as cats/1.jpg."
        )
    return InvalidInput(
        f"Names in an upload must differ by more than upper and lower case; in {shown(path)}, {shown(name)} stands "
        f"beside {shown(there)}. Rename one of the two."
    )


def _both(path: str) -> InvalidInput:
    return InvalidInput(
        f"A name in an upload must be a file's or a folder's; one in {shown(path)} is both. Rename one of the two."
    )
