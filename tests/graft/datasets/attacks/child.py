"""A process that is given attacks, one line of JSON each, and says how each was answered and what it cost.

Under a folder: `N.archive`, or a list of [name, hex of the content] in the line. Its address space may grow by what a
request may cost: more is a MemoryError, and that no refusal.
"""

import json
import resource
import shutil
import sys
import time
from pathlib import Path

from graft.datasets import layouts
from graft.datasets.files import DatasetFiles
from graft.datasets.layouts.listing import Sources
from graft.errors import InvalidInput
from tests.graft.datasets.attacks.attack import LIMITS

MAX_BYTES = 300 * 1024**2


def peak() -> int:
    """Bytes of memory at most since the last `forget`."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def forget() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main(root: Path) -> None:
    files = DatasetFiles(root / "datasets")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MAX_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for line in sys.stdin:
        archive, form = json.loads(line)
        forget()
        before, started = peak(), time.monotonic()
        try:
            with files.intake(LIMITS) as intake:
                if archive:
                    shutil.copyfile(root / archive, intake.archive)
                    intake.unpack()
                for name, content in form:
                    intake.begin(name)
                    intake.write(bytes.fromhex(content))
                    intake.end()
                layouts.check(Sources((intake.batch(),), intake.content))
            answer = ["accepted", f"{len(intake.batch().entries)} files"]
        except InvalidInput as error:
            answer = [type(error).__name__, str(error)]
        print(json.dumps([*answer, time.monotonic() - started, peak() - before]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
