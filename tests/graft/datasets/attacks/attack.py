"""What an attack is, and what the attacks are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from graft.datasets.archives import ArchiveLimits
from graft.errors import InvalidInput
from tests.graft.datasets.packing import BLOCK, GOOD, member, named, tarred

MIB: Final = 1024**2
LIMITS: Final = ArchiveLimits(bytes=100 * MIB, data_bytes=80 * MIB)
PIXEL: Final = b"not a picture, but that is found out later"
Files = Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Attack:
    """send: an archive, or the files of a form. says: words of the answer."""

    send: Callable[[], bytes | Files]
    says: str
    error: type[InvalidInput] = InvalidInput


TAR: Final = tarred()
FIRST: Final = len(member(*GOOD[0]))  # bytes of its first member
HELD: Final = len(TAR) - 2 * BLOCK  # bytes of all of them


def in_tar(*files: tuple[str, bytes]) -> bytes:
    return tarred(*(named(name, data) for name, data in files))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
