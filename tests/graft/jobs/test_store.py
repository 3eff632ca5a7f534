from collections.abc import Callable

import pytest

from graft.errors import Conflict, InvalidInput, NotFound, StaleFence
from graft.jobs import Job, Jobs


def claimed(jobs: Jobs, queue: str = "training") -> Job:
    job = jobs.claim(queue, "a test")
    assert job is not None
    return job


def types(jobs: Jobs, job: Job) -> list[str]:
    return [event.type for event in jobs.events(job.id)[0]]


def test_a_new_job_has_what_was_asked_and_waits(jobs: Jobs) -> None:
    job = jobs.create(
        "train", model="signs", dataset="ds_1", revision="ab", recipe={"epochs": 2}, priority=3, metadata={"who": "me"}
    )
    assert jobs.get(job.id) == job
    assert (job.state, job.queue, job.fence, job.failures) == ("queued", "training", 0, 0)
    assert (job.model, job.dataset, job.revision, job.recipe) == ("signs", "ds_1", "ab", {"epochs": 2})
    assert (job.priority, job.metadata) == (3, {"who": "me"})
    assert job.created_at > 0
    assert (job.started_at, job.finished_at) == (None, None)
    assert types(jobs, job) == ["queued"]


def test_a_claim_takes_the_highest_priority_then_the_oldest_of_its_queue(jobs: Jobs) -> None:
    jobs.create("validate", priority=9)
    low = [jobs.create("train") for _ in range(2)]
    high = [jobs.create("train", priority=1) for _ in range(2)]
    for oldest_first in (high, low):
        created = sorted(oldest_first, key=lambda job: (job.created_at, job.id))
        assert [claimed(jobs).id for _ in created] == [job.id for job in created]
    assert jobs.claim("training", "a test") is None


def test_a_claim_raises_the_fence_and_keeps_the_first_start(jobs: Jobs) -> None:
    jobs.create("train")
    first = claimed(jobs)
    jobs.release(first.id, first.fence)
    second = claimed(jobs)
    assert (first.fence, second.fence) == (1, 2)
    assert second.started_at == first.started_at
    assert second.failures == 0
    assert types(jobs, first) == ["queued", "running", "queued", "running"]


def test_a_run_writes_progress_metrics_and_events(jobs: Jobs) -> None:
    jobs.create("train", model="m")
    job = claimed(jobs)
    jobs.progress(job.id, 1, {"phase": "training"})
    jobs.progress(job.id, 1, {"phase": "evaluating"})
    jobs.event(job.id, 1, "epoch", {"epoch": 1})
    jobs.succeed(job.id, 1, version=4, metrics={"loss": 1.0}, result={"a": 1})
    done = jobs.get(job.id)
    assert (done.state, done.version, done.metrics, done.result) == ("succeeded", 4, {"loss": 1.0}, {"a": 1})
    assert done.progress == {"phase": "evaluating"}
    assert done.finished_at is not None
    assert types(jobs, job) == ["queued", "running", "epoch", "published", "succeeded"]
    assert jobs.events(job.id)[0][3].data == {"model": "m", "version": 4}


def test_a_settled_recipe_takes_the_place_of_what_was_asked(jobs: Jobs) -> None:
    job = jobs.create("train", model="m", recipe={"preset": "auto"})
    claim = claimed(jobs)
    jobs.settle(job.id, claim.fence, {"preset": "auto", "cut": "block4_pool"})
    assert jobs.get(job.id).recipe == {"preset": "auto", "cut": "block4_pool"}
    assert [(each.type, each.data) for each in jobs.events(job.id)[0]][-1] == ("recipe", jobs.get(job.id).recipe)
    jobs.release(job.id, claim.fence)
    with pytest.raises(StaleFence):
        jobs.settle(job.id, claim.fence, {"preset": "fine-tuning"})
    assert claimed(jobs).recipe == {"preset": "auto", "cut": "block4_pool"}


def test_a_failed_job_says_why(jobs: Jobs) -> None:
    jobs.create("train")
    jobs.fail(claimed(jobs).id, 1, code="invalid_input", message="No.")
    failed = jobs.list()[0][0]
    assert (failed.state, failed.error_code, failed.error_message) == ("failed", "invalid_input", "No.")


def test_the_third_lost_run_fails_the_job_with_its_reason(jobs: Jobs) -> None:
    job = jobs.create("train")
    for failures in (1, 2):
        claim = claimed(jobs)
        lost = jobs.lost(job.id, claim.fence, code="job_process_died", message="It died.")
        assert (lost.state, lost.failures) == ("queued", failures)
    claim = claimed(jobs)
    lost = jobs.lost(job.id, claim.fence, code="job_process_died", message="It died again.")
    assert (lost.state, lost.failures, lost.error_code) == ("failed", 3, "job_process_died")
    assert lost.error_message is not None
    assert lost.error_message.endswith("It died again.")
    assert lost.finished_at is not None
    assert types(jobs, job)[-2:] == ["lost", "failed"]


def test_an_expired_lease_is_a_lost_run_and_a_heartbeat_prevents_it(jobs: Jobs, hasty: Jobs) -> None:
    jobs.create("train")
    job = claimed(hasty)
    assert jobs.heartbeat(job.id, 1).state == "running"
    assert jobs.requeue_expired() == []
    hasty.heartbeat(job.id, 1)
    (requeued,) = jobs.requeue_expired()
    assert (requeued.state, requeued.failures) == ("queued", 1)
    assert jobs.requeue_expired() == []
    assert types(jobs, job) == ["queued", "running", "lost", "queued"]


def test_a_claim_takes_over_a_lease_that_ran_out(jobs: Jobs, hasty: Jobs) -> None:
    job = jobs.create("train")
    claimed(hasty)
    again = claimed(jobs)
    assert (again.id, again.fence, again.failures) == (job.id, 2, 1)


WRITES: dict[str, Callable[[Jobs, Job], object]] = {
    "heartbeat": lambda jobs, job: jobs.heartbeat(job.id, job.fence),
    "check": lambda jobs, job: jobs.check(job.id, job.fence),
    "progress": lambda jobs, job: jobs.progress(job.id, job.fence, {"phase": "training"}),
    "event": lambda jobs, job: jobs.event(job.id, job.fence, "epoch", {}),
    "reserve": lambda jobs, job: jobs.reserve(job.id, job.fence, "m"),
    "succeed": lambda jobs, job: jobs.succeed(job.id, job.fence, version=1),
    "fail": lambda jobs, job: jobs.fail(job.id, job.fence, code="no", message="No."),
    "release": lambda jobs, job: jobs.release(job.id, job.fence),
    "lost": lambda jobs, job: jobs.lost(job.id, job.fence, code="no", message="No."),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_stale_fence_writes_nothing(jobs: Jobs, hasty: Jobs, write: Callable[[Jobs, Job], object]) -> None:
    jobs.create("train", model="m")
    stale = claimed(hasty)
    jobs.requeue_expired()
    with pytest.raises(StaleFence, match="which is queued under fence 1"):
        write(jobs, stale)
    owner = claimed(jobs)
    before = jobs.get(owner.id), jobs.events(owner.id)
    with pytest.raises(StaleFence, match="which is running under fence 2"):
        write(jobs, stale)
    jobs.cancel(owner.id)
    jobs.release(owner.id, owner.fence)
    with pytest.raises(StaleFence, match="which is cancelled under fence 2"):
        write(jobs, owner)
    assert before[0].progress is None
    assert [event.type for event in before[1][0]] == ["queued", "running", "lost", "queued", "running"]
    assert jobs.reserved(owner.id) is None


def test_a_queued_job_is_cancelled_at_once_and_never_claimed(jobs: Jobs) -> None:
    job = jobs.create("train")
    assert jobs.cancel(job.id).state == "cancelled"
    assert jobs.cancel(job.id).state == "cancelled"
    assert jobs.get(job.id).finished_at is not None
    assert jobs.claim("training", "a test") is None
    assert types(jobs, job) == ["queued", "cancelled"]


def test_a_running_job_is_cancelled_when_its_owner_leaves(jobs: Jobs, hasty: Jobs) -> None:
    for leave in (
        lambda job: jobs.release(job.id, 1),
        lambda job: jobs.lost(job.id, 1, code="no", message="No."),
        lambda job: (hasty.heartbeat(job.id, 1), jobs.requeue_expired()),
    ):
        jobs.create("train")
        job = claimed(jobs)
        assert jobs.cancel(job.id).state == "cancelling"
        assert jobs.cancel(job.id).state == "cancelling"
        assert jobs.heartbeat(job.id, 1).state == "cancelling"
        leave(job)
        assert jobs.get(job.id).state == "cancelled"
        assert jobs.get(job.id).finished_at is not None


def test_work_that_is_done_before_the_cancel_arrives_counts(jobs: Jobs) -> None:
    jobs.create("train", model="m")
    job = claimed(jobs)
    jobs.cancel(job.id)
    jobs.succeed(job.id, 1, version=jobs.reserve(job.id, 1, "m"))
    assert jobs.get(job.id).state == "succeeded"
    with pytest.raises(Conflict, match="has succeeded"):
        jobs.cancel(job.id)


def test_a_reservation_is_kept_through_claims_and_numbers_are_never_given_twice(jobs: Jobs) -> None:
    first, second = jobs.create("train", model="m"), jobs.create("train", model="m")
    one = claimed(jobs)
    other = claimed(jobs)
    assert jobs.reserve(one.id, 1, "m") == 1
    assert jobs.reserve(other.id, 1, "m") == 2
    assert jobs.reserve(one.id, 1, "m") == 1
    jobs.release(one.id, 1)
    again = claimed(jobs)
    assert again.fence == 2
    assert jobs.reserve(again.id, 2, "m") == 1
    assert jobs.reserved(again.id) == ("m", 1)
    assert {first.id, second.id} == {one.id, other.id}
    jobs.create("train", model="other")
    assert jobs.reserve(claimed(jobs).id, 1, "other") == 1


def test_lists_are_newest_first_in_pages_that_do_not_overlap(jobs: Jobs) -> None:
    made = {jobs.create("train", model="m").id for _ in range(5)}
    jobs.create("train", model="another")
    jobs.create("validate", dataset="ds_1")
    seen: list[Job] = []
    while True:
        page, more = jobs.list(limit=2, after=seen[-1].id if seen else None, models=["m"])
        seen += page
        if not more:
            break
    assert {job.id for job in seen} == made
    assert len(seen) == 5
    assert [job.created_at for job in seen] == sorted((job.created_at for job in seen), reverse=True)
    assert [job.kind for job in jobs.list(datasets=["ds_1"])[0]] == ["validate"]
    assert jobs.list(states=["running"]) == ([], False)
    assert len(jobs.list(states=["running", "queued"])[0]) == 7
    assert len(jobs.list(kinds=["train"])[0]) == 6
    assert len(jobs.list(kinds=["train"], models=["another", "nobody's"])[0]) == 1


def test_a_job_with_an_id_of_the_caller_s_is_created_once(jobs: Jobs) -> None:
    assert jobs.create("train", id="job_mine", model="m").id == "job_mine"
    jobs.cancel("job_mine")
    assert jobs.create("train", id="job_mine", model="other") == jobs.get("job_mine")
    assert [(job.id, job.model) for job in jobs.list()[0]] == [("job_mine", "m")]
    assert types(jobs, jobs.get("job_mine")) == ["queued", "cancelled"]


def test_standings_of_several_jobs(jobs: Jobs) -> None:
    running, waiting = jobs.create("train", priority=1), jobs.create("train")
    claimed(jobs)
    jobs.progress(running.id, 1, {"phase": "training"})
    before = jobs.standings([running.id, waiting.id, "job_none"])
    assert {this: (standing.progress, standing.finished) for this, standing in before.items()} == {
        running.id: ({"phase": "training"}, False),
        waiting.id: (None, False),
    }
    jobs.succeed(running.id, 1)
    after = jobs.standings([running.id])[running.id]
    assert after.finished
    assert after.event == jobs.events(running.id)[0][-1].id > before[running.id].event


def test_events_come_in_pages(jobs: Jobs) -> None:
    jobs.create("train")
    job = claimed(jobs)
    for epoch in range(5):
        jobs.event(job.id, 1, "epoch", {"epoch": epoch})
    first, more = jobs.events(job.id, limit=4)
    rest, no_more = jobs.events(job.id, after=first[-1].id)
    assert (more, no_more) == (True, False)
    assert [event.data.get("epoch") for event in first + rest] == [None, None, 0, 1, 2, 3, 4]


def test_what_does_not_exist_is_not_found(jobs: Jobs) -> None:
    for ask in (jobs.get, jobs.events, jobs.cancel, lambda job_id: jobs.check(job_id, 1)):
        with pytest.raises(NotFound, match="There is no job job_none"):
            ask("job_none")
    with pytest.raises(InvalidInput, match="`after` must be the id of a job"):
        jobs.list(after="job_none")


def test_waiting_looks_at_one_queue_and_at_time_in_it(jobs: Jobs) -> None:
    job = jobs.create("train")
    assert jobs.waiting("training", 0)
    assert not jobs.waiting("training", 3600)
    assert not jobs.waiting("datasets", 0)
    jobs.claim("training", "a test")
    assert not jobs.waiting("training", 0)
    jobs.release(job.id, 1)
    assert jobs.waiting("training", 0)


def test_a_dataset_is_being_validated_until_that_job_is_finished(jobs: Jobs) -> None:
    jobs.create("train", dataset="ds_1")
    assert not jobs.validates("ds_1")
    job = jobs.create("validate", dataset="ds_1")
    assert jobs.validates("ds_1")
    jobs.claim("datasets", "a test")
    assert jobs.validates("ds_1")
    jobs.fail(job.id, 1, code="no", message="No.")
    assert not jobs.validates("ds_1")


def test_numbers_go_on_above_what_lies_in_the_registry(jobs: Jobs) -> None:
    for version in (8, 9):
        jobs.create("train", model="signs")
        job = claimed(jobs)
        assert jobs.reserve(job.id, job.fence, "signs", above=7) == version
        assert jobs.reserve(job.id, job.fence, "signs", above=20) == version


def test_a_claim_counts_lost_runs_of_its_own_queue_alone(jobs: Jobs, hasty: Jobs) -> None:
    """The reaper rings for what it requeues; a claim would not."""
    training = jobs.create("train")
    hasty.claim("training", "a worker that dies")
    assert jobs.claim("datasets", "another worker") is None
    assert jobs.get(training.id).state == "running"
    assert [job.id for job in jobs.requeue_expired()] == [training.id]
    assert jobs.get(training.id).state == "queued"


def test_a_job_that_is_queued_again_forgets_where_it_was(jobs: Jobs) -> None:
    jobs.create("train")
    job = claimed(jobs)
    jobs.progress(job.id, job.fence, {"phase": "training", "epoch": 3})
    jobs.release(job.id, job.fence)
    assert jobs.get(job.id).progress is None


def test_unfinished_jobs_are_counted_by_queue_and_state(jobs: Jobs) -> None:
    assert set(jobs.unfinished().values()) == {0}
    for kind in ("train", "train", "train", "validate"):
        jobs.create(kind)
    claimed(jobs)
    jobs.cancel(claimed(jobs).id)
    done = claimed(jobs, "datasets")
    jobs.succeed(done.id, done.fence)
    assert jobs.unfinished() == {
        ("datasets", "queued"): 0,
        ("datasets", "running"): 0,
        ("datasets", "cancelling"): 0,
        ("training", "queued"): 1,
        ("training", "running"): 1,
        ("training", "cancelling"): 1,
    }
