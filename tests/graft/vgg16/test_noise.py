"""Which lines of TensorFlow's output are left out: exactly those that every import writes."""

import os
import subprocess
import sys

import pytest

from graft.vgg16.noise import QuietPipe, is_tensorflow_noise

ABSL = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
ONEDNN = (
    "I0000 00:00:1795509545.348845   12298 port.cc:153] oneDNN custom operations are on. You may see slightly "
    "different numerical results due to floating-point round-off errors from different computation orders. "
    "To turn them off, set the environment variable `TF_ENABLE_ONEDNN_OPTS=0`."
)


@pytest.mark.parametrize("line", [ABSL, ONEDNN, ONEDNN + "\n"])
def test_lines_about_its_build_are_noise(line: str) -> None:
    assert is_tensorflow_noise(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "graft.app: the trunk is loaded",
        f"he said: {ABSL}",
        f"{ABSL}, and more",
        ONEDNN.replace("I0000", "E0000"),
        ONEDNN.replace("port.cc:153] oneDNN custom operations are on", "allocator.cc:9] out of memory"),
        f"{ONEDNN}\nTraceback (most recent call last):",
    ],
)
def test_any_other_line_is_not(line: str) -> None:
    assert not is_tensorflow_noise(line)


def test_the_lines_that_this_tensorflow_writes_are_known() -> None:
    command = [sys.executable, "-c", "import graft.vgg16, tensorflow"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    said = [line for line in done.stderr.splitlines() if "oneDNN" in line or "InitializeLog" in line]
    assert all(map(is_tensorflow_noise, said))


def test_a_quiet_pipe_passes_on_all_other_bytes_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    end, start = os.pipe()
    pipe = QuietPipe(os.fdopen(end, "rb", buffering=0))
    assert not pipe.forward()
    os.write(start, b"one\n\n" + ONEDNN.encode() + b"\nhal")
    assert pipe.forward()
    assert capfdbinary.readouterr().err == b"one\n\n"
    os.write(start, b"f \xff\rline\n" + ABSL.encode())
    os.write(start, b"\n" + b"x" * 50_000 + b"\nno end")
    os.close(start)
    pipe.close()
    assert capfdbinary.readouterr().err == b"half \xff\rline\n" + b"x" * 50_000 + b"\nno end"
