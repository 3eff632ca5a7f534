"""What can go wrong between a client and the service.

graft.errors.GraftError
├── ApiError       the service answered that it will not or cannot do this
└── Unreachable    nothing answered, or what answered is not Graft
"""

from typing import Self

import httpx

from graft.errors import GraftError


class ApiError(GraftError):
    """The service's problem+json. `type` is for programs and never changes; `detail` says what to do.

    `retry_after`: seconds, where the service says that asking again later helps.
    """

    def __init__(
        self, status: int, detail: str, *, type: str = "about:blank", retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.type = type
        self.detail = detail
        self.retry_after = retry_after

    @classmethod
    def of(cls, answer: httpx.Response) -> Self:
        """From an answer that has been read and is no success."""
        try:
            problem = answer.json()
        except ValueError:
            problem = None
        fields = problem if isinstance(problem, dict) else {}
        detail = fields.get("detail") or f"{answer.url} answered {answer.status_code} {answer.reason_phrase}."
        seconds = answer.headers.get("Retry-After", "")
        return cls(
            answer.status_code,
            str(detail),
            type=str(fields.get("type", "about:blank")),
            retry_after=float(seconds) if seconds.isdigit() else None,
        )


class Unreachable(GraftError):
    """Nothing answered at the service's address, the connection broke for good, or what answered is not Graft."""
