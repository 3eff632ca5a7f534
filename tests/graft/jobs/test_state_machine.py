"""Any order of calls by any number of owners, against a model of one job in plain Python."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from graft.database import connect, migrate
from graft.errors import Conflict, StaleFence
from graft.jobs import FINISHED, MAX_FAILURES, OWNED, Jobs


@dataclass
class Model:
    """What the job should be."""

    state: str = "queued"
    fence: int = 0
    failures: int = 0
    version: int | None = None

    def leave(self) -> None:
        self.state = "cancelled" if self.state == "cancelling" else "queued"

    def lose(self) -> None:
        self.failures += 1
        if self.state == "running" and self.failures == MAX_FAILURES:
            self.state = "failed"
        else:
            self.leave()


class OneJob(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.engine = connect(f"sqlite:///{self.home / 'graft.db'}")
        migrate(self.engine)
        self.jobs = Jobs(self.engine)
        self.hasty = Jobs(self.engine, lease_seconds=-1)
        self.id = self.jobs.create("train", model="m").id
        self.model = Model()
        self.last_event = 0

    def teardown(self) -> None:
        self.engine.dispose()
        shutil.rmtree(self.home)

    def as_owner(self, fence: int, call: Callable[[], object]) -> bool:
        """Make the call; whether it went through. It must, for the owner, and for nobody else."""
        if fence == self.model.fence and self.model.state in OWNED:
            call()
            return True
        with pytest.raises(StaleFence):
            call()
        return False

    # A fence is this claim's, or one that an earlier owner still holds.
    behind = st.integers(0, 2)

    @rule()
    def claim(self) -> None:
        claimed = self.jobs.claim("training", "a test")
        assert (claimed is not None) == (self.model.state == "queued")
        if claimed is not None:
            self.model.state = "running"
            self.model.fence += 1

    @rule(behind=behind)
    def heartbeat(self, behind: int) -> None:
        fence = self.model.fence - behind
        self.as_owner(fence, lambda: self.jobs.heartbeat(self.id, fence))

    @rule(behind=behind)
    def reserve(self, behind: int) -> None:
        fence = self.model.fence - behind
        if self.as_owner(fence, lambda: self.jobs.reserve(self.id, fence, "m")):
            self.model.version = 1

    @rule(behind=behind)
    def succeed(self, behind: int) -> None:
        fence = self.model.fence - behind
        if self.as_owner(fence, lambda: self.jobs.succeed(self.id, fence, version=self.model.version)):
            self.model.state = "succeeded"

    @rule(behind=behind)
    def fail(self, behind: int) -> None:
        fence = self.model.fence - behind
        if self.as_owner(fence, lambda: self.jobs.fail(self.id, fence, code="no", message="No.")):
            self.model.state = "failed"

    @rule(behind=behind)
    def release(self, behind: int) -> None:
        fence = self.model.fence - behind
        if self.as_owner(fence, lambda: self.jobs.release(self.id, fence)):
            self.model.leave()

    @rule(behind=behind)
    def lost(self, behind: int) -> None:
        fence = self.model.fence - behind
        if self.as_owner(fence, lambda: self.jobs.lost(self.id, fence, code="no", message="No.")):
            self.model.lose()

    @precondition(lambda self: self.model.state in OWNED)
    @rule()
    def expire(self) -> None:
        self.hasty.heartbeat(self.id, self.model.fence)
        assert [job.id for job in self.jobs.requeue_expired()] == [self.id]
        self.model.lose()

    @rule()
    def reap(self) -> None:
        assert self.jobs.requeue_expired() == []

    @rule()
    def cancel(self) -> None:
        if self.model.state in ("succeeded", "failed"):
            with pytest.raises(Conflict):
                self.jobs.cancel(self.id)
            return
        self.model.state = {"queued": "cancelled", "running": "cancelling"}.get(self.model.state, self.model.state)
        assert self.jobs.cancel(self.id).state == self.model.state

    @invariant()
    def is_what_the_model_says(self) -> None:
        job = self.jobs.get(self.id)
        assert Model(job.state, job.fence, job.failures, self.model.version) == self.model
        assert (job.finished_at is not None) == (job.state in FINISHED)
        assert (job.error_code is not None) == (job.state == "failed")
        assert self.jobs.reserved(self.id) == (None if self.model.version is None else ("m", self.model.version))

    @invariant()
    def logs_every_change_of_state(self) -> None:
        events, _ = self.jobs.events(self.id, limit=1000)
        states = [event.type for event in events if event.type not in ("lost", "published")]
        assert states[-1] == self.model.state
        assert len([event for event in events if event.type == "running"]) == self.model.fence
        assert all(a != b for a, b in pairwise(states))


TestOneJob = OneJob.TestCase
TestOneJob.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
