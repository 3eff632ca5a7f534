"""From SIGTERM to the end: not ready at once, still answering for a moment, then the server's own graceful stop."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Long enough for a balancer that asks every second to see that we are not ready and to send its requests elsewhere.
DRAIN_SECONDS = 2.0


class Drain:
    """Stands before the server's handlers of SIGTERM and SIGINT, which close the listener as soon as they are called.

    One for each process; it lives on the event loop.
    """

    def __init__(self, seconds: float = DRAIN_SECONDS) -> None:
        self.draining = False
        self._seconds = seconds
        self._over = False
        self._calls: set[Callable[[], None]] = set()

    @contextmanager
    def at_end(self, call: Callable[[], None]) -> Iterator[None]:
        """Within, `call` is called just before the server's handlers are, or at once where they have been.

        The server waits for its answers to end, and some would not by themselves. Any sooner, and whoever follows a
        stream would come back to this process.
        """
        self._calls.add(call)
        if self._over:
            call()
        try:
            yield
        finally:
            self._calls.discard(call)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For the server's event loop, once the server's own handler is in place (uvicorn's is before the lifespan)."""
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        inner = {int(number): handler for number, handler in before.items() if callable(handler)}
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def end(number: int) -> None:
            self._over = True
            for call in [*self._calls]:
                call()
            inner[number](number, None)

        def on_signal(number: int, _frame: FrameType | None) -> None:
            # Somebody at a terminal, or who asks twice, waits no more.
            seconds = 0.0 if self.draining or number == signal.SIGINT else self._seconds
            self.draining = True
            loop.call_soon_threadsafe(loop.call_later, seconds, end, number)

        for number in inner:
            signal.signal(number, on_signal)
        try:
            yield
        finally:
            for number, handler in inner.items():
                signal.signal(number, handler)
