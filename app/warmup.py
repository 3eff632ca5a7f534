"""Loading VGG16 beside the listener, which is up at once: it takes seconds, and a download of the weights minutes."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from graft.errors import GraftError, MissingWeights, Unavailable

RETRY_SECONDS = 30.0
log = logging.getLogger("graft.app")


class Startable(Protocol):
    def start(self) -> None: ...
    def close(self) -> None: ...


S = TypeVar("S", bound=Startable)


class Warmup(Generic[S]):
    """Builds and starts one thing in a thread of its own, again and again until it works.

    After a failure it tries again when somebody asks for the thing, and every `retry_seconds` in any case.
    """

    def __init__(self, build: Callable[[], S], *, retry_seconds: float = RETRY_SECONDS) -> None:
        self._build = build
        self._retry_seconds = retry_seconds
        self._ready: S | None = None
        self._failure: Exception | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._again = threading.Event()
        # A daemon: a download that hangs must not keep the process from its end.
        self._thread = threading.Thread(target=self._run, name="warmup", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def get(self) -> S:
        """The thing, started. Raises Unavailable while it is loading, MissingWeights when that is why it is not."""
        if self._ready is None:
            self._again.set()
            raise self.obstacle() or Unavailable("VGG16 must be loaded before it answers; ask again.", retry_after=1)
        return self._ready

    def obstacle(self) -> Unavailable | None:
        """What is in the way; None once nothing is."""
        if self._ready is not None:
            return None
        if isinstance(self._failure, MissingWeights):
            return MissingWeights(str(self._failure), retry_after=self._failure.retry_after)
        if self._failure is not None:
            return Unavailable("VGG16 must be loaded before it answers; loading failed, and the log says why.")
        return Unavailable("VGG16 must be loaded before it answers; it is loading. Ask again soon.", retry_after=5)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._ready is not None:
                self._ready.close()
        self._again.set()

    def _run(self) -> None:
        while not self._closed:
            self._again.clear()
            if self._try():
                return
            self._again.wait(self._retry_seconds)

    def _try(self) -> bool:
        try:
            thing = self._build()
            thing.start()
        except GraftError as error:
            if str(error) != str(self._failure):  # said once, not at every try
                log.warning("%s", error)
            self._failure = error
            return False
        except Exception as error:
            log.exception("loading VGG16 failed")
            self._failure = error
            return False
        with self._lock:
            if self._closed:
                thing.close()
            else:
                self._ready = thing
        return True
