"""What every kind of archive looks like to the ingest: a reader that yields members, within limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may cost.

    bytes: of the archive and of all it unpacks to; entries: members, folders included; file_bytes: of one member,
    unpacked; ratio: of a member's unpacked to its packed size; picture_pixels: width times height of one picture.
    """

    bytes: int = 5 * 1024**3
    entries: int = 100_000
    file_bytes: int = 64 * 1024**2
    ratio: int = 100
    picture_pixels: int = 50_000_000


class Member(Protocol):
    """A regular file in an archive."""

    @property
    def name(self) -> str:
        """As the archive has it: unchecked."""

    def chunks(self) -> Iterator[bytes]:
        """The content, unpacked piece by piece. Raises InvalidInput when it is damaged or not what the header says."""


class ArchiveReader(Protocol):
    def members(self) -> Iterator[Member]:
        """Every regular file; read each one's chunks before the next. Raises InvalidInput, TooLarge."""
