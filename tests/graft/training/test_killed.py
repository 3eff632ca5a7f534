"""SIGKILL at any moment, with dropout on and early stopping waiting: the training ends as if nothing had happened."""

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from tests.graft.training.killable import RECIPES, trained
from tests.monitors import Recorder

DRAWS = random.Random(11)
# In which training, and after how many of a claim's steps. The head's best epoch ends with its step 80, the patience
# with its step 240.
KILLS = [("head", DRAWS.randrange(90, 200)), ("head", DRAWS.randrange(1, 30)), ("tail", DRAWS.randrange(1, 9))]


def test_a_training_that_is_killed_again_and_again_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    for claim, kill in enumerate(KILLS, start=1):
        assert run(tmp_path, claim, kill) == -signal.SIGKILL, "it was over before it could be killed"
    assert run(tmp_path, len(KILLS) + 1, None) == 0
    for name, words in RECIPES.items():
        whole = trained(name, tmp_path / "whole", 1, monitor := Recorder())
        assert [kind for kind, _ in monitor.events][-1] == "early_stopping", "it did not stop early"
        killed = load_file(tmp_path / f"{name}.safetensors")
        for line, values in whole.history.items():
            assert len(values) < words["epochs"]
            np.testing.assert_allclose(killed.pop(f"history/{line}"), values, rtol=0, atol=1e-6, err_msg=line)
        assert killed.keys() == whole.weights.keys()
        for part, array in whole.weights.items():
            np.testing.assert_allclose(killed[part], array, rtol=0, atol=1e-6, err_msg=part)


def run(folder: Path, claim: int, kill: tuple[str, int] | None) -> int:
    """One claim of the trainings, killed at some moment after that step. Returns its exit status."""
    command = [sys.executable, "-m", "tests.graft.training.killable", str(folder), str(claim)]
    steps = Counter[str]()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout or ():
            steps[line.strip()] += 1
            if kill is not None and steps[kill[0]] >= kill[1]:
                process.kill()
    return process.returncode
