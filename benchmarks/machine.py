"""The machine that a figure was measured on, and what its processes use. Read from /proc: for Linux alone."""

import os
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from graft.images import cores

MB = 1e6
TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tensorflow_cpu")  # its distributions
_TICK = os.sysconf("SC_CLK_TCK")


def assets() -> Path:
    """The folder of GRAFT_TEST_ASSETS, or the end of the program."""
    folder = os.environ.get("GRAFT_TEST_ASSETS")
    if not folder:
        sys.exit("GRAFT_TEST_ASSETS must name the folder that holds weights/; it is not set.")
    return Path(folder)


def describe() -> str:
    """One line: the processor, how much of it this process may use, and how busy it has been."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    tensorflow = next(d.version for d in distributions() if d.name in TENSORFLOW)
    return (
        f"{found[1] if found else 'unknown processor'}, {cores()} cores, {memory:.0f} GiB; Python "
        f"{sys.version.split()[0]}, TensorFlow {tensorflow}, pictures of 224x224; load {os.getloadavg()[0]:.1f} before"
    )


@dataclass(frozen=True)
class Usage:
    """What a process has used or holds. processor: seconds so far; memory, peak: resident bytes, now and at most."""

    processor: float
    memory: int
    peak: int
    threads: int
    descriptors: int


def usage(pid: int | None = None) -> Usage:
    """Of a process, or of this one."""
    folder = Path(f"/proc/{pid or os.getpid()}")
    kilobytes = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", (folder / "status").read_text()))
    fields = _fields(folder)
    return Usage(
        processor=(int(fields[11]) + int(fields[12])) / _TICK,
        memory=int(kilobytes["VmRSS"]) * 1024,
        peak=int(kilobytes["VmHWM"]) * 1024,
        threads=int(fields[17]),
        descriptors=len(list((folder / "fd").iterdir())),
    )


def forget_peak(pid: int) -> None:
    """Let the process's peak begin anew at what it holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class Neighbours:
    """What other processes than this one and all that it has started did meanwhile: `str()` says it."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = _work()

    def __str__(self) -> str:
        seconds = (time.monotonic() - self._began) * cores()
        others, stolen = ((now - before) / seconds for now, before in zip(_work(), self._before, strict=True))
        return f"meanwhile others took {max(others, 0):.0%} of the cores, and the hypervisor {stolen:.0%}"


def _work() -> tuple[float, float]:
    """Processor seconds that others have used since the start of the machine, and those that it never got."""
    user, nice, system, _, _, irq, softirq, stolen, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    busy = (user + nice + system + irq + softirq) / _TICK
    return busy - own_work(), stolen / _TICK


def own_work() -> float:
    """Processor seconds of this process, of those that descend from it, and of those of them that have ended."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            fields, pid = _fields(folder), int(folder.name)
            children.setdefault(int(fields[1]), []).append(pid)
            used[pid] = sum(map(int, fields[11:15])) / _TICK
    total, waiting = 0.0, [os.getpid()]
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0.0)
        waiting += children.get(pid, [])
    return total


def _fields(folder: Path) -> list[str]:
    """Those of /proc/PID/stat from the third one on: a name in brackets, which may hold blanks, is the second."""
    return (folder / "stat").read_text().rpartition(")")[2].split()
