from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from graft.training.checkpoint import Arrays, Checkpoint, Checkpoints, RunState, sweep


def checkpoint(epoch: int, step: int, value: float = 0.0) -> Checkpoint:
    run = RunState(epoch, step, loss_sum=value, correct=3, seen=7)
    run.history["loss"].append(1 / 3)
    state: Arrays = {"dense_1/kernel": np.full((2, 3), value, np.float32), "optimizer_0/0": np.array(12, np.int64)}
    return Checkpoint(run, state, {"dense_1/kernel": np.ones((2, 3), np.float32)})


def test_what_is_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    saved = checkpoint(2, 5, value=1 / 3)
    Checkpoints(tmp_path, 1).save(saved)
    back = Checkpoints(tmp_path, 2).latest()
    assert back is not None
    assert back.run == saved.run
    for ours, theirs in ((back.state, saved.state), (back.best, saved.best)):
        assert ours.keys() == theirs.keys()
        for name, array in theirs.items():
            np.testing.assert_array_equal(ours[name], array, strict=True)


def test_the_furthest_one_counts_whichever_claim_wrote_it(tmp_path: Path) -> None:
    Checkpoints(tmp_path, 3).save(checkpoint(2, 0))
    Checkpoints(tmp_path, 2).save(checkpoint(10, 0))
    Checkpoints(tmp_path, 1).save(checkpoint(0, 9))
    latest = Checkpoints(tmp_path, 4).latest()
    assert latest is not None
    assert (latest.run.epoch, latest.run.step) == (10, 0)


def test_a_claim_keeps_its_newest_one_alone(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1)
    for epoch in range(3):
        checkpoints.save(checkpoint(epoch, 0))
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["000002-000000.safetensors"]


def test_there_is_none_before_the_first_and_after_clear(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "job", 1)
    assert checkpoints.latest() is None
    checkpoints.save(checkpoint(1, 0))
    checkpoints.clear()
    assert checkpoints.latest() is None
    assert list(tmp_path.iterdir()) == []


@given(keep=st.floats(0, 0.999))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_a_file_that_was_cut_off_is_passed_over(tmp_path: Path, keep: float) -> None:
    Checkpoints(tmp_path, 2).save(checkpoint(2, 0))
    Checkpoints(tmp_path, 1).save(checkpoint(1, 0))
    damaged = tmp_path / "000002" / "000002-000000.safetensors"
    damaged.write_bytes(damaged.read_bytes()[: int(keep * damaged.stat().st_size)])
    latest = Checkpoints(tmp_path, 3).latest()
    assert latest is not None
    assert latest.run.epoch == 1


def test_another_release_s_checkpoint_is_none(tmp_path: Path) -> None:
    Checkpoints(tmp_path, 1).save(checkpoint(1, 0))
    (file,) = tmp_path.rglob("*.safetensors")
    for metadata in (None, {"format": "0", "run": "{}"}):
        save_file({"state/a": np.zeros(1, np.float32)}, file, metadata=metadata)
        assert Checkpoints(tmp_path, 2).latest() is None


def test_earlier_claims_checkpoints_go_with_the_first_of_a_new_one_and_later_claims_stay(tmp_path: Path) -> None:
    Checkpoints(tmp_path, 3).save(checkpoint(5, 0))
    Checkpoints(tmp_path, 1).save(checkpoint(1, 0))
    Checkpoints(tmp_path, 2).save(checkpoint(2, 0))
    assert sorted(file.parent.name for file in tmp_path.rglob("*.safetensors")) == ["000002", "000003"]


def test_the_sweep_removes_what_jobs_that_are_over_have_left(tmp_path: Path) -> None:
    for job in ("job_over", "job_running"):
        Checkpoints(tmp_path / job, 1).save(checkpoint(1, 0))
    sweep(tmp_path, lambda job: job == "job_over")
    assert [folder.name for folder in tmp_path.iterdir()] == ["job_running"]
    sweep(tmp_path / "nowhere", lambda _job: True)
