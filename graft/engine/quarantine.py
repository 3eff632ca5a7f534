"""Versions that failed, each with the reason. They are left alone until their files change."""

import threading
from collections.abc import Callable

from graft.engine.metrics import EngineMetrics
from graft.registry.version import Signature


class Quarantine:
    """signature: changes as soon as a file of (model, version) does. Safe to call from threads."""

    def __init__(self, signature: Callable[[str, int], Signature], metrics: EngineMetrics) -> None:
        self._signature = signature
        self._metrics = metrics
        self._held: dict[tuple[str, int], tuple[Signature, str]] = {}
        self._lock = threading.Lock()

    def add(self, model: str, version: int, signature: Signature, reason: str) -> None:
        """signature: from before its files were read, so that one which was restored meanwhile is tried again."""
        with self._lock:
            self._held[model, version] = signature, reason
            self._metrics.quarantined(model, version, yes=True)

    def reason(self, model: str, version: int) -> str | None:
        """Why it must not be loaded; None when nothing is known against it."""
        held = self._held.get((model, version))
        return held and held[1]

    def reasons(self, model: str) -> dict[int, str]:
        """Version -> reason, of a model's versions that are held."""
        with self._lock:
            return {version: reason for (name, version), (_, reason) in sorted(self._held.items()) if name == model}

    def held(self) -> list[tuple[str, int]]:
        """Model and version of each."""
        with self._lock:
            return list(self._held)

    def forget_changed(self, model: str, version: int) -> None:
        """Let it go where its files have changed since, or are no more."""
        held = self._held.get((model, version))
        if held is None or held[0] == self._signature(model, version):
            return
        with self._lock:
            if self._held.get((model, version)) == held:
                del self._held[model, version]
                self._metrics.quarantined(model, version, yes=False)
