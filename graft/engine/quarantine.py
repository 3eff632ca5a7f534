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
        """Why it must not be loaded; None when nothing is known against it, or its files have changed since."""
        held = self._held.get((model, version))
        if held is None:
            return None
        signature, reason = held
        if signature == self._signature(model, version):
            return reason
        with self._lock:
            if self._held.get((model, version)) == held:
                del self._held[model, version]
                self._metrics.quarantined(model, version, yes=False)
        return None

    def held(self) -> list[tuple[str, int]]:
        """Model and version of what was held when somebody last looked at it."""
        with self._lock:
            return list(self._held)

    def reasons(self, model: str) -> dict[int, str]:
        """Version -> reason, of a model's versions that are held now."""
        versions = sorted(version for name, version in self.held() if name == model)
        reasons = {version: self.reason(model, version) for version in versions}
        return {version: reason for version, reason in reasons.items() if reason is not None}
