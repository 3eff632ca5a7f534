"""Memory that is free again, but that the C library keeps."""

import ctypes
from contextlib import suppress


def trim() -> None:
    """Return it to the system: 400 MB after TensorFlow has compiled the trunk. Only glibc has a call for that."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
