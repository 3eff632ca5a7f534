"""From SIGTERM to the end: not ready at once, still answering for a moment, then the server's own graceful stop."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Long enough for a balancer that asks every second to see that we are not ready and to send its requests elsewhere.
DRAIN_SECONDS = 2.0


class Drain:
    """Stands before the server's handler of SIGTERM, which closes the listener as soon as it is called."""

    def __init__(self, seconds: float = DRAIN_SECONDS) -> None:
        self.draining = False
        self._seconds = seconds

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For the server's event loop, once the server's own handler is in place (uvicorn's is before the lifespan)."""
        inner = signal.getsignal(signal.SIGTERM)
        if not callable(inner) or threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            if self.draining:  # asked twice: no more waiting
                inner(number, frame)
                return
            self.draining = True
            loop.call_soon_threadsafe(loop.call_later, self._seconds, inner, number, None)

        signal.signal(signal.SIGTERM, on_sigterm)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, inner)
