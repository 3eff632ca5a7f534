"""One file of features: a header that names its pictures, then a row for each of them. Once whole it never changes.

A partial file has room for all its rows from the start; its header names the pictures that its writer has in hand, and
the writer holds an exclusive lock on it. Whoever reads a whole one holds a shared lock, so that nobody evicts it.
"""

import fcntl
import hashlib
import os
import struct
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from graft.disk import sync

WHOLE, PARTIAL = ".shard", ".partial"
DEAD_SECONDS = 3600.0
_MAGIC = b"graftfs1"
_FIXED = struct.Struct("<8s32sQII")  # magic, the kind's key, bytes of a row, pictures named, rows that there are
_CHECKSUM = hashlib.sha256().digest_size
_MOST_PICTURES = 1 << 16  # more in a header is damage

Digests = npt.NDArray[np.bytes_]  # (n,) S32


def digests_of(sha256s: Sequence[str]) -> Digests:
    """Hex hashes as an array, 32 bytes each."""
    return np.frombuffer(bytes.fromhex("".join(sha256s)), "S32")


@dataclass(frozen=True)
class Header:
    """digests (n,) S32; checks (n,) uint32, the CRC-32 of each row; rows: how many there are, in a partial none."""

    key: str
    row_bytes: int
    digests: Digests
    checks: npt.NDArray[np.uint32]
    rows: int

    def packed(self) -> bytes:
        fixed = _FIXED.pack(_MAGIC, bytes.fromhex(self.key), self.row_bytes, len(self.digests), self.rows)
        content = fixed + self.digests.tobytes() + self.checks.astype("<u4").tobytes()
        return content + hashlib.sha256(content).digest()

    @property
    def size(self) -> int:
        """Bytes of the header: where the rows begin."""
        return header_size(len(self.digests))

    @classmethod
    def read(cls, descriptor: int) -> Self | None:
        """None where there is no header, or a damaged one."""
        fixed = os.pread(descriptor, _FIXED.size, 0)
        if len(fixed) < _FIXED.size or not fixed.startswith(_MAGIC):
            return None
        _, key, row_bytes, named, rows = _FIXED.unpack(fixed)
        if named > _MOST_PICTURES:
            return None
        packed = os.pread(descriptor, header_size(named), 0)
        content, checksum = packed[:-_CHECKSUM], packed[-_CHECKSUM:]
        if len(packed) < header_size(named) or hashlib.sha256(content).digest() != checksum:
            return None
        digests = np.frombuffer(content, "S32", named, _FIXED.size)
        checks = np.frombuffer(content, "<u4", named, _FIXED.size + digests.nbytes)
        return cls(key.hex(), row_bytes, digests, checks, rows)


def header_size(pictures: int) -> int:
    return _FIXED.size + pictures * (32 + 4) + _CHECKSUM


class Shard:
    """A whole shard, held against eviction until it is closed. Safe to read from several threads."""

    def __init__(self, path: Path, descriptor: int, header: Header) -> None:
        self.path = path
        self.digests = header.digests[: header.rows]
        self._descriptor, self._header = descriptor, header
        self._checked = np.zeros(header.rows, bool)

    @classmethod
    def open(cls, path: Path, key: str) -> Self | None:
        """None where it is gone or being evicted, where it is damaged, and where it is another kind's."""
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:  # gone, or one file more than a process may open
            return None
        header = None
        try:
            if locked(descriptor, fcntl.LOCK_SH) and (there := os.fstat(descriptor)).st_nlink:
                header = Header.read(descriptor)
                if header and (header.key != key or there.st_size != header.size + header.rows * header.row_bytes):
                    header = None
            return cls(path, descriptor, header) if header else None
        finally:
            if header is None:
                os.close(descriptor)

    def read_into(self, row: int, out: npt.NDArray[np.uint8]) -> bool:
        """False where the row is damaged. Each is checked when it is first read."""
        size = self._header.row_bytes
        try:
            if os.preadv(self._descriptor, [out.data], self._header.size + row * size) != size:
                return False
        except OSError:  # the disk says so
            return False
        if not self._checked[row]:
            self._checked[row] = zlib.crc32(out.data) == self._header.checks[row]
        return bool(self._checked[row])

    def close(self) -> None:
        os.close(self._descriptor)


class PartialShard:
    """A shard that is being written, and the claim on its pictures. `seal` and `publish` it, or `discard` it."""

    def __init__(self, folder: Path, key: str, row_bytes: int, digests: Digests) -> None:
        self._path = folder / f"{uuid4().hex}{PARTIAL}"
        self._header = Header(key, row_bytes, digests, np.zeros(len(digests), np.uint32), 0)
        self._digests: list[bytes] = []  # of the rows so far
        self._checks: list[int] = []
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            locked(self._descriptor, fcntl.LOCK_EX)
            os.pwrite(self._descriptor, self._header.packed(), 0)
            os.truncate(self._descriptor, self._row_at(len(digests)))
        except OSError:
            self.discard()
            raise

    @property
    def empty(self) -> bool:
        return not self._digests

    @property
    def full(self) -> bool:
        return len(self._digests) == len(self._header.digests)

    def append(self, digest: bytes, row: npt.NDArray[Any]) -> None:
        whole = np.ascontiguousarray(row).view(np.uint8).reshape(-1).data
        data = whole
        at = self._row_at(len(self._digests))
        while data:  # a single call may write less
            written = os.pwrite(self._descriptor, data, at)
            data, at = data[written:], at + written
        self._digests.append(digest)
        self._checks.append(zlib.crc32(whole))

    def seal(self) -> None:
        """Bring the rows that there are to disk, under a header that names them alone."""
        old, rows = self._header, len(self._digests)
        digests, checks = np.zeros_like(old.digests), np.zeros_like(old.checks)
        digests[:rows], checks[:rows] = self._digests, self._checks
        self._header = Header(old.key, old.row_bytes, digests, checks, rows)
        os.pwrite(self._descriptor, self._header.packed(), 0)
        os.truncate(self._descriptor, self._row_at(rows))
        os.fsync(self._descriptor)

    def publish(self) -> Shard | None:
        """Make what is sealed a whole shard, held. None where it was swept away.

        Call it while nobody else looks: between the two locks it seems to be a dead writer's.
        """
        path = self._path.with_suffix(WHOLE)
        locked(self._descriptor, fcntl.LOCK_SH)
        try:
            self._path.rename(path)
        except FileNotFoundError:
            self.discard()
            return None
        sync(path.parent)
        return Shard(path, self._descriptor, self._header)

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _row_at(self, row: int) -> int:
        return self._header.size + row * self._header.row_bytes


def claimed(path: Path) -> Digests | None:
    """The pictures that a partial's writer has in hand; None where the writer is dead: then the file is removed.

    Where the file system has no locks, a writer is dead when it has written nothing for DEAD_SECONDS.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        lock = _lock(descriptor, fcntl.LOCK_EX)
        if lock or (lock is None and time.time() - os.fstat(descriptor).st_mtime > DEAD_SECONDS):
            path.unlink(missing_ok=True)
            return None
        header = Header.read(descriptor)
        return None if header is None else header.digests
    finally:
        os.close(descriptor)


def evict(path: Path) -> bool:
    """Remove a whole shard unless somebody holds it."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDWR)
        try:
            if not locked(descriptor, fcntl.LOCK_EX):
                return False
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    return True


def locked(descriptor: int, how: int) -> bool:
    """Try for a lock, without waiting. A file system that has none gives it to everybody: no row gets wrong by it."""
    return _lock(descriptor, how) is not False


def _lock(descriptor: int, how: int) -> bool | None:
    """Whether the lock is ours; None where the file system has none."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
