"""A monitor that remembers, and can ask to stop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graft.types import Progress


@dataclass
class Recorder:
    """`stop_after`: reports after which it asks to stop; None: never. `guards`: how often the claim was checked."""

    stop_after: int | None = None
    reports: list[Progress] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    guards: int = 0

    def report(self, progress: Progress) -> None:
        self.reports.append(progress)

    def event(self, type: str, data: Mapping[str, Any]) -> None:
        self.events.append((type, dict(data)))

    def guard(self) -> None:
        self.guards += 1

    def stop_requested(self) -> bool:
        return self.stop_after is not None and len(self.reports) >= self.stop_after
