"""What a request is made of, before anybody sends it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeVar

import httpx

from graft.client.bodies import Body
from graft.client.pictures import Picture

T = TypeVar("T")

OnProgress = Callable[[int, int], None]  # bytes sent, bytes in all


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and the meaning of its answer.

    path: below /api/v1, percent-encoded; creates: send an Idempotency-Key, so that a repetition makes no second thing;
    timeout: seconds without a byte of an answer; deadline: seconds after which the service shall give a prediction up.
    """

    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    query: Mapping[str, str | int | float] = field(default_factory=dict)
    json: Any = None
    body: Body | None = None
    pictures: tuple[Picture, ...] = ()
    on_progress: OnProgress | None = None
    accept: str = "application/json"
    creates: bool = False
    timeout: float = 60.0
    deadline: float | None = None

    def headers(self) -> dict[str, str]:
        """Those that the call itself asks for, but its form of answer and of body."""
        if self.deadline is None:
            return {}
        return {"X-Request-Timeout": format(Decimal(str(self.deadline)), "f")}
