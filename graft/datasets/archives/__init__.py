"""What every kind of archive looks like to the intake: a reader that yields members, within limits."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from graft.datasets.names import shown
from graft.errors import TooLarge

CHUNK = 1 << 20  # bytes of a file in memory at once


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may cost.

    bytes: of the archive and of all it unpacks to; entries: members, folders included; file_bytes: of one member,
    unpacked; ratio: of a member's unpacked to its packed size; picture_pixels: width times height of one picture;
    data_bytes: like file_bytes, for a file that holds labels or many pictures at once.
    """

    bytes: int = 5 * 1024**3
    entries: int = 100_000
    file_bytes: int = 64 * 1024**2
    ratio: int = 100
    picture_pixels: int = 50_000_000
    data_bytes: int = 1024**3

    def of_file(self, name: str) -> int:
        """Most bytes of the file with this name."""
        return self.data_bytes if _DATA.search(name) else self.file_bytes


# Annotations, CIFAR's batches, and MNIST's IDX files.
_DATA: Final = re.compile(r"(\.(jsonl?|[ct]sv|txt|bin)|-ubyte(\.gz)?)$", re.IGNORECASE)


class Member(Protocol):
    """A file or a folder in an archive."""

    @property
    def name(self) -> str:
        """As the archive has it: unchecked."""

    @property
    def is_folder(self) -> bool: ...

    def chunks(self) -> Iterator[bytes]:
        """The content, unpacked piece by piece. Raises InvalidInput when it is damaged or not what the header says."""


class ArchiveReader(Protocol):
    def members(self) -> Iterator[Member]:
        """Every file and folder; read each one's chunks before the next. Raises InvalidInput, TooLarge."""


def check_size(name: str, size: int, limits: ArchiveLimits) -> None:
    """Whether a file may be as large as its archive claims. Raises TooLarge."""
    limit = limits.of_file(name)
    if size > limit:
        raise TooLarge(
            f"A file in an archive may have at most {limit:,} bytes; {shown(name)} has {size:,}. "
            "Leave it out, or save it smaller."
        )
