"""A Monitor that keeps what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graft.errors import StaleFence
from graft.types import Progress


@dataclass
class Recorder:
    """stop_after: how many reports it hears before it asks the job to stop; lost: another claim has been made."""

    stop_after: int | None = None
    lost: bool = False
    reports: list[Progress] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def report(self, progress: Progress) -> None:
        self.reports.append(progress)

    def event(self, type: str, data: Mapping[str, Any]) -> None:
        self.events.append((type, dict(data)))

    def guard(self) -> None:
        if self.lost:
            raise StaleFence("lost")

    def stop_requested(self) -> bool:
        return self.stop_after is not None and len(self.reports) >= self.stop_after
