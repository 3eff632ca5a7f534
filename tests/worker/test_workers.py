"""Real workers, real processes, real brokers; what is done to them is what happens to them in life."""

import os
import signal
import sys
from pathlib import Path

import pytest

from graft.jobs import MAX_FAILURES
from tests.worker.workshop import ENDLESS, Workshop, alive, processes_of, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def test_a_ring_runs_every_job_that_waits(workshop: Workshop) -> None:
    silent = workshop.create({"steps": 1}, ring=False)
    job = workshop.create({"steps": 3}, model="m")
    workshop.start_worker()
    done = workshop.wait_for(job, "succeeded")
    assert (done.fence, done.failures, done.version, done.metrics) == (1, 0, 1, {"counted": 3})
    assert workshop.wait_for(silent, "succeeded").result == {"counted": 1}
    assert done.progress is not None
    assert (done.progress["phase"], done.progress["step"]) == ("training", 3)
    (run,) = workshop.runs(job)
    assert run.data["nice"] >= 10
    assert run.data["group"] is None or run.data["group"].endswith(" nice 10\n")
    ends = [f"{each.id} (train) is succeeded" for each in (job, silent)]
    until(lambda: all(end in workshop.log() for end in ends))
    told = [line for line in workshop.log().splitlines() if " INFO " in line]
    assert len(told) == 4, f"one line when a job starts, and one when it ends:\n{workshop.log()}"


def test_a_job_process_that_is_killed_is_run_again_and_goes_on(workshop: Workshop) -> None:
    job = workshop.create({"steps": 60, "step_seconds": 0.02}, model="m")
    worker = workshop.start_worker()
    until(lambda: workshop.counted(job) > 5)
    os.kill(workshop.runs(job)[0].data["pid"], signal.SIGKILL)
    done = workshop.wait_for(job, "succeeded")
    assert (done.fence, done.failures) == (2, 1)
    first, second = workshop.runs(job)
    assert (first.data["from"], second.data["from"] > 5) == (1, True)
    assert workshop.published(job) == [f"{job.id}-1"]
    assert worker.poll() is None
    until(lambda: not processes_of(job.id))


def test_a_worker_that_is_killed_takes_its_job_process_along_and_another_one_goes_on(workshop: Workshop) -> None:
    job = workshop.create({"steps": 60, "step_seconds": 0.02}, model="m")
    worker = workshop.start_worker()
    until(lambda: workshop.counted(job) > 5)
    worker.kill()
    pid = workshop.runs(job)[0].data["pid"]
    until(lambda: not alive(pid))
    reached = workshop.counted(job)
    workshop.start_worker()
    done = workshop.wait_for(job, "succeeded")
    assert (done.fence, done.failures) == (2, 1)
    assert workshop.runs(job)[1].data["from"] in (reached, reached + 1)
    assert workshop.published(job) == [f"{job.id}-1"]
    until(lambda: not processes_of(job.id))


def test_a_worker_that_is_asked_to_stop_gives_its_job_back(workshop: Workshop) -> None:
    job = workshop.create(ENDLESS)
    worker = workshop.start_worker()
    until(lambda: workshop.counted(job) > 5)
    worker.terminate()
    assert worker.wait() == 0
    left = workshop.jobs.get(job.id)
    assert (left.state, left.failures) == ("queued", 0)
    assert not processes_of(job.id)
    assert workshop.messages() >= 1, "the doorbell was rung for whoever comes next"
    reached = workshop.counted(job)
    again = workshop.start_worker()
    until(lambda: workshop.counted(job) > reached)
    assert workshop.runs(job)[1].data["from"] == reached + 1
    again.send_signal(signal.SIGINT)
    assert again.wait() == 0
    assert workshop.jobs.get(job.id).failures == 0
    assert "Traceback" not in workshop.log()


def test_a_running_job_can_be_cancelled_and_the_worker_goes_on(workshop: Workshop) -> None:
    job = workshop.create(ENDLESS, model="m")
    workshop.start_worker()
    until(lambda: workshop.counted(job) > 5)
    assert workshop.jobs.cancel(job.id).state == "cancelling"
    assert workshop.wait_for(job, "cancelled").failures == 0
    assert not processes_of(job.id)
    assert workshop.jobs.reserved(job.id) is None
    workshop.wait_for(workshop.create({"steps": 1}), "succeeded")


def test_a_broker_that_forgot_everything_only_costs_a_delay(workshop: Workshop) -> None:
    job = workshop.create({"steps": 1})
    assert workshop.messages() == 1
    workshop.delete_messages()
    assert workshop.messages() == 0
    workshop.start_worker(patience_seconds=0.5)
    workshop.wait_for(job, "succeeded")


def test_a_job_that_crashes_every_time_is_given_up_with_its_reason(workshop: Workshop) -> None:
    job = workshop.create({"steps": 3, "at": 2, "then": "raise"})
    workshop.start_worker()
    failed = workshop.wait_for(job, "failed")
    assert (failed.failures, failed.fence) == (MAX_FAILURES, MAX_FAILURES)
    assert failed.error_code == "job_process_died"
    assert failed.error_message is not None
    assert "given up after 3 lost runs" in failed.error_message
    assert failed.error_message.endswith("status 1. Its last line: RuntimeError: the ninth part of a bug")


def test_a_stale_process_can_neither_save_nor_publish(workshop: Workshop) -> None:
    """It slept (a suspended machine, a stuck disk) while its job was given to another, and then wakes up."""
    job = workshop.create({"steps": 40, "step_seconds": 0.05}, model="m", ring=False)
    claim = workshop.jobs.claim("training", "a machine that will sleep")
    assert claim is not None
    process = workshop.start_job_process(claim)
    until(lambda: workshop.counted(job) > 5)
    process.send_signal(signal.SIGSTOP)
    workshop.jobs.lost(job.id, 1, code="lease_expired", message="It sleeps.")
    other = workshop.jobs.claim("training", "another machine")
    assert other is not None
    saved = workshop.home / "counts" / job.id
    saved.write_text("39")  # the new owner has saved this since
    process.send_signal(signal.SIGCONT)
    assert process.wait() == 75
    assert process.stdin is not None
    process.stdin.close()
    assert saved.read_text() == "39"
    assert workshop.published(job) == []
    assert workshop.jobs.reserved(job.id) is None
    now = workshop.jobs.get(job.id)
    assert (now.state, now.fence) == ("running", 2)


def test_a_worker_that_starts_looks_at_its_queue(workshop: Workshop) -> None:
    """Nobody rang: the broker was made anew, or the message was taken by a worker that was killed."""
    job = workshop.create({"steps": 1}, ring=False)
    workshop.delete_messages()
    workshop.start_worker(patience_seconds=3600)
    workshop.wait_for(job, "succeeded")


def test_what_may_pass_by_itself_costs_a_run_and_not_the_job(workshop: Workshop) -> None:
    job = workshop.create({"steps": 3, "at": 2, "then": "full"})
    workshop.start_worker()
    done = workshop.wait_for(job, "succeeded")
    assert done.failures == 1
    lost = next(event for event in workshop.jobs.events(job.id)[0] if event.type == "lost")
    assert (lost.data["code"], lost.data["message"]) == ("disk_full", "The counter needs room. Free some.")


def test_two_workers_share_the_jobs_and_none_is_done_twice(workshop: Workshop) -> None:
    jobs = [workshop.create({"steps": 3, "step_seconds": 0.01}, model="m") for _ in range(4)]
    workshop.start_worker()
    workshop.start_worker()
    done = [workshop.wait_for(job, "succeeded") for job in jobs]
    assert [job.fence for job in done] == [1] * 4
    assert sorted(job.version or 0 for job in done) == [1, 2, 3, 4]
    assert all(len(workshop.runs(job)) == 1 for job in jobs)


DAMAGED = {
    "empty": b"",
    "cut off": b'{"body": "W1tdLC',
    "no text": b"\xff\xfe\x00",
    "null": b"null",
    "a list": b"[]",
    "no properties": b"{}",
    "no headers": b'{"properties": {"delivery_tag": "1"}, "body": ""}',
    "another task": b'{"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json",'
    b' "headers": {"task": "os.system", "id": "1"}, "properties": {"delivery_tag": "1", "body_encoding": "base64"}}',
    "a pickle": b'{"body": "gASVAgAAAAAAAABdlC4=", "content-encoding": "binary",'
    b' "content-type": "application/x-python-serialize", "headers": {"task": "graft.ring", "id": "1"},'
    b' "properties": {"delivery_tag": "1", "body_encoding": "base64"}}',
}


def test_damaged_messages_in_the_brokers_folder_do_not_stop_the_worker(workshop: Workshop) -> None:
    if workshop.broker_url is not None:
        pytest.skip("about the broker's folder")
    folder = workshop.home / "broker" / "data"

    def leave_damaged(name: str, data: bytes) -> Path:
        file = folder / f"0_{name.replace(' ', '-')}.training.msg"
        file.write_bytes(data)
        os.utime(file, (0, 0))
        return file

    damaged = [leave_damaged(name, data) for name, data in DAMAGED.items()]
    fresh = folder / "0_half-written.training.msg"
    fresh.write_bytes(b'{"body": "W1tdLC')
    os.utime(fresh, (2**32, 2**32))
    worker = workshop.start_worker()
    workshop.wait_for(workshop.create({"steps": 1}), "succeeded")
    until(lambda: not any(file.exists() for file in damaged))
    assert worker.poll() is None
    assert "Traceback" not in workshop.log()
    for file in damaged:
        assert f"A damaged message was put away: {file.name}" in workshop.log()
    os.utime(fresh, (0, 0))
    until(lambda: not fresh.exists())
    workshop.wait_for(workshop.create({"steps": 1}), "succeeded")
