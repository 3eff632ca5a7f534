"""Which form of an answer a caller prefers: the Accept header (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Sequence

from fastapi import Request
from python_multipart.multipart import parse_options_header

_QUALITY = re.compile(rb"0(\.\d{0,3})?|1(\.0{0,3})?")


def preferred(request: Request, offers: Sequence[str]) -> str:
    """The media type of `offers` with the highest quality. Of equal ones, a named one goes before those that a wildcard
    covers; the first of `offers` is the answer to a caller who takes none of them, or says nothing.
    """
    ranges = dict(_range(each) for each in ",".join(request.headers.getlist("accept")).split(","))
    return max(offers, key=lambda offer: _rank(offer, ranges))


def _range(text: str) -> tuple[str, float]:
    """A media range in lower case, and its quality; 0 where that cannot be read."""
    name, options = parse_options_header(text)
    quality = options.get(b"q", b"1")
    return name.decode("latin-1"), float(quality) if _QUALITY.fullmatch(quality) else 0.0


def _rank(offer: str, ranges: dict[str, float]) -> tuple[float, int]:
    """(quality, how closely the header names it), by the range that names it most closely."""
    covering = (offer, offer.partition("/")[0] + "/*", "*/*")
    closeness, found = next(((3 - i, each) for i, each in enumerate(covering) if each in ranges), (0, ""))
    quality = ranges.get(found, 0.0)
    return (quality, closeness) if quality else (0.0, 0)
