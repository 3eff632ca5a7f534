"""The rules for the names of files that are sent."""

import re
import unicodedata
from typing import Final

from graft.errors import InvalidInput

MAX_NAME = 1024  # characters
MAX_PART = 255  # bytes, as on every common file system
_SYSTEM_FILES: Final = {"thumbs.db", "desktop.ini"}


def clean_path(name: str) -> str:
    """The name as a relative path in Unicode's composed form. Raises InvalidInput.

    Nothing is ever written under this path: it only says the class, and names the file in messages.
    """
    rule = _broken_rule(name)
    if rule:
        raise InvalidInput(f"{rule}; received {shown(name)}. Send the folder again with plain relative names.")
    return unicodedata.normalize("NFC", "/".join(_parts(name)))


def _broken_rule(name: str) -> str | None:
    if len(name) > MAX_NAME or any(len(part.encode(errors="surrogatepass")) > MAX_PART for part in _parts(name)):
        return f"A file's name may have at most {MAX_NAME} characters, and {MAX_PART} bytes between slashes"
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", name):
        return "A file's name may not hold control characters"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "A file's name must be relative"
    if "\\" in name:
        return "A file's name must use / between folders"
    if ".." in name.split("/"):
        return "A file's name may not hold '..'"
    return None if _parts(name) else "A file's name may not be empty"


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def shown(name: str) -> str:
    """For messages: short, and in ASCII."""
    return ascii(name if len(name) <= 80 else f"{name[:77]}...")


def is_ignored(path: str) -> bool:
    """Hidden files and what macOS and Windows leave behind."""
    parts = path.split("/")
    return any(p.startswith(".") or p == "__MACOSX" for p in parts) or parts[-1].lower() in _SYSTEM_FILES
