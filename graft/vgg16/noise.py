"""TensorFlow's lines about its own build, which no setting of TensorFlow 2.21 keeps off standard error.

They are written by C++ while the package is imported, so whoever starts such a process filters its output.
"""

import re

_NOISE = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    # Severity, month and day, time, thread, file and line: Abseil's prefix.
    r"|I\d{4} [\d:.]+ +\d+ port\.cc:\d+\] oneDNN custom operations are on\. .*"
)


def is_tensorflow_noise(line: str) -> bool:
    """Whether a line of a process's output, with or without its end, is one of these and nothing more."""
    return _NOISE.fullmatch(line.rstrip("\r\n")) is not None
