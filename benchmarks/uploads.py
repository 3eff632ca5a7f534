"""Large uploads into a running API: what they cost it in memory, and whether it answers others meanwhile.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.uploads [--parts 20000] [--gigabytes 2.1] [--folder FOLDER]

Starts the API as a process of its own, without workers, in a temporary home, and sends it, each from another process:
one request of 20,000 parts, a zip and a tar of 2.1 GB. A third process asks /health/live all the while. Printed for
each upload: how much the API's memory grew (at the end, and at its peak), the time that a probe took, and the rate,
beside that of a plain copy of as many bytes on the same disk in the same run. The folder needs 8 GB.
"""

import argparse
import http.client
import io
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from benchmarks.machine import MB, forget_peak, usage
from tests.drawing import CLASSES, draw
from tests.e2e.service import free_port, outside

PROBE_SECONDS = 0.001  # from one answer to the next probe: over a thousand in an upload of three seconds
MIB = 1024 * 1024
FILE = 48 * MIB  # of an archive's files: below the limit of one
PATH = "/api/v1/datasets"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--parts", type=int, default=20_000)
    arguments.add_argument("--gigabytes", type=float, default=2.1)
    arguments.add_argument("--folder", type=Path, help="where home and archives go; the system's temporary folder else")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder, running(Path(folder) / "home") as api:
        free = shutil.disk_usage(folder).free / 1e9
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start, {free:.0f} GB free", flush=True)
        measure(api, f"{asked.parts:,} parts in one request", partial(send_parts, api.port, asked.parts))
        for kind, pack in (("zip", zip_into), ("tar", tar_into)):
            archive = Path(folder) / f"archive.{kind}"
            pack(archive, round(asked.gigabytes * 1e9 / FILE))
            size = archive.stat().st_size
            measure(api, f"a {kind} of {size / 1e9:.1f} GB", partial(send_file, api.port, archive))
            print(f"  a plain copy of it: {copied(archive):.0f} MB/s", flush=True)
            archive.unlink()


@dataclass(frozen=True)
class Api:
    """The API as a process."""

    pid: int
    port: int


@contextmanager
def running(home: Path) -> Iterator[Api]:
    """The API on a free port, once it is ready: TensorFlow is in memory then, as in service."""
    home.mkdir()
    port = free_port()
    environment = {**outside(), "GRAFT_HOME": str(home)}
    if "GRAFT_TEST_ASSETS" in os.environ:
        environment["GRAFT_WEIGHTS_DIR"] = f"{os.environ['GRAFT_TEST_ASSETS']}/weights"
    command = [sys.executable, "-m", "uvicorn", "app.main:create_app", "--factory", "--port", str(port)]
    process = subprocess.Popen([*command, "--log-level", "warning", "--no-access-log"], env=environment)
    try:
        while answers(port, "/health/ready") != 200:
            time.sleep(0.5)
        time.sleep(2)  # what the start leaves to do
        yield Api(process.pid, port)
    finally:
        process.terminate()
        process.wait()


def answers(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def measure(api: Api, what: str, send: Callable[[], int]) -> None:
    """`send` runs in a process of its own, and returns the bytes that it has sent."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as shared, ProcessPoolExecutor(2, mp_context=spawn) as pool:
        over = shared.Event()
        begun = shared.Event()
        probing = pool.submit(probe, api.port, begun, over)
        begun.wait()  # the process takes a while to start
        forget_peak(api.pid)
        before = usage(api.pid).memory
        started = time.monotonic()
        size = pool.submit(send).result()
        seconds = time.monotonic() - started
        over.set()
        waits = [wait * 1e3 for wait in probing.result()]
        after = usage(api.pid)
    cuts = statistics.quantiles(waits, n=100)
    print(f"{what}: {size / 1e6:,.0f} MB in {seconds:.1f} s, {size / 1e6 / seconds:.0f} MB/s")
    grown, peak = (after.memory - before) / MB, (after.peak - before) / MB
    print(f"  memory: {before / MB:,.0f} MB, grew by {grown:.0f} MB, at the peak by {peak:.0f} MB")
    print(
        f"  {len(waits):,} probes of /health/live: median {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, "
        f"longest {max(waits):.1f} ms",
        flush=True,
    )


def probe(port: int, begun: Event, over: Event) -> list[float]:
    """Seconds that each probe took until the upload is over, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    waits: list[float] = []
    while not over.is_set():
        time.sleep(PROBE_SECONDS)
        started = time.perf_counter()
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        answer.read()
        waits.append(time.perf_counter() - started)
        assert answer.status == 200
        begun.set()
    return waits


def send_file(port: int, archive: Path) -> int:
    with archive.open("rb") as file:
        return post(port, file, {"Content-Length": str(archive.stat().st_size)})


def send_parts(port: int, count: int) -> int:
    return post(port, form(count), {"Content-Type": "multipart/form-data; boundary=x"})


def post(port: int, body: io.BufferedReader | Iterator[bytes], headers: dict[str, str]) -> int:
    sent = 0

    def counted() -> Iterator[bytes]:
        nonlocal sent
        for piece in iter(lambda: body.read(MIB), b"") if isinstance(body, io.BufferedReader) else body:
            sent += len(piece)
            yield piece

    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", PATH, counted(), headers, encode_chunked="Content-Length" not in headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 202:
        raise RuntimeError(f"an upload must be answered with 202; received {answer.status}: {text!r}")
    return sent


def form(count: int) -> Iterator[bytes]:
    """Pictures of 3 to 6 kB, all different, a part for each."""
    pictures = [(label, picture(label, seed)) for label in CLASSES for seed in range(20)]
    piece = bytearray()
    for i in range(count):
        label, data = pictures[i % len(pictures)]
        comment = b"\xff\xfe\x00\x0a%08d" % i  # a JPEG comment behind the start of the image
        head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{label}/{i}.jpg"\r\n\r\n'
        piece += head.encode() + data[:2] + comment + data[2:] + b"\r\n"
        if len(piece) > MIB:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece) + b"--x--\r\n"


def picture(label: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw(label, seed, 140 + 4 * seed).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def names(count: int) -> Iterator[str]:
    return (f"{CLASSES[i % len(CLASSES)]}/{i}.jpg" for i in range(count))


def zip_into(archive: Path, count: int) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name in names(count):
            file.writestr(name, os.urandom(FILE))


def tar_into(archive: Path, count: int) -> None:
    with tarfile.open(archive, "w") as file:
        for name in names(count):
            member = tarfile.TarInfo(name)
            member.size = FILE
            file.addfile(member, io.BytesIO(os.urandom(FILE)))


def copied(archive: Path) -> float:
    """MB/s of a plain copy."""
    copy = archive.with_suffix(".copy")
    started = time.monotonic()
    with archive.open("rb") as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target, MIB)
    seconds = time.monotonic() - started
    copy.unlink()
    return archive.stat().st_size / 1e6 / seconds


if __name__ == "__main__":
    main()
