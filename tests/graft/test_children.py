"""The supervisor with real children: small shell scripts that write their process id and wait."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graft.children import Command, Rules, Supervisor

QUICK = Rules(grace=30.0, pause=0.0, turn=0.01)

STOPPING = "Stopping: accepted requests are answered, and running jobs go on at the next start."


class Stage:
    """Children that append their process id to a file of their name, and what the supervisor said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    def child(self, name: str, script: str = "exec sleep 600") -> Command:
        return Command(name, ("sh", "-c", f"echo $$ >> {self.folder / name}; {script}"))

    def pids(self, name: str) -> list[int]:
        path = self.folder / name
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def supervisor(self, *commands: Command, rules: Rules = QUICK) -> Supervisor:
        return Supervisor(commands, environment=os.environ, say=self.said.append, rules=rules)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_stop_ends_every_child_and_is_no_failure(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.child("a"), stage.child("b"))

    def each_turn() -> None:
        if stage.pids("a") and stage.pids("b"):
            supervisor.stop()

    assert supervisor.run(each_turn) == 0
    assert not any(alive(pid) for name in "ab" for pid in stage.pids(name))
    assert stage.said == [STOPPING]


def test_a_child_leads_its_own_session_so_that_a_terminals_signals_pass_it_by(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.child("a"))
    sessions: list[tuple[int, int]] = []

    def each_turn() -> None:
        for pid in stage.pids("a"):
            sessions.append((pid, os.getsid(pid)))
            supervisor.stop()

    supervisor.run(each_turn)
    assert sessions
    assert all(pid == session for pid, session in sessions)


def test_a_child_that_is_killed_is_started_again_and_the_others_run_on(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.child("a"), stage.child("b"))
    killed: list[int] = []

    def each_turn() -> None:
        pids = stage.pids("a")
        if len(pids) == 2:
            supervisor.stop()
        elif pids and stage.pids("b") and not killed:
            os.kill(pids[0], signal.SIGKILL)
            killed.append(pids[0])

    assert supervisor.run(each_turn) == 0
    assert len(stage.pids("b")) == 1
    assert stage.said == ["a was ended by SIGKILL; starting it again in 0 s.", STOPPING]


def test_what_a_dead_child_left_in_its_group_goes_with_it(stage: Stage) -> None:
    pipe = stage.folder / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    supervisor = stage.supervisor(stage.child("a", f"exec 3> {pipe}; sleep 600 & exit 3"))

    def each_turn() -> None:
        if len(stage.pids("a")) >= 2:
            supervisor.stop()

    supervisor.run(each_turn)
    assert stage.said[0] == "a ended with exit code 3; starting it again in 0 s."
    # Each `sleep` holds the pipe open; its end of file says that none is left.
    os.set_blocking(end, True)
    with os.fdopen(end, "rb") as reader:
        assert reader.read() == b""


def test_a_child_that_keeps_dying_ends_it_all_with_a_sentence(stage: Stage) -> None:
    rules = Rules(grace=30.0, pause=0.0, turn=0.01, deaths=3)
    supervisor = stage.supervisor(stage.child("a", "exit 2"), stage.child("b"), rules=rules)
    assert supervisor.run() == 1
    assert len(stage.pids("a")) == 3
    assert not any(alive(pid) for pid in stage.pids("b"))
    assert stage.said[-1].startswith("a ended with exit code 2, 3 times in a row soon after its start: giving up.")


def test_the_children_s_errors_come_through_without_tensorflow_s_noise(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
    script = f"echo first >&2; echo '{noise}' >&2; printf 'last words' >&2; exit 2"
    supervisor = stage.supervisor(stage.child("a", script), rules=Rules(pause=0.0, turn=0.01, deaths=1))
    assert supervisor.run() == 1
    assert capfd.readouterr().err == "first\nlast words"


def test_a_child_that_writes_a_lot_is_not_held_up(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    line = "more than a pipe holds, once three thousand lines of this length have come"
    script = f"seq -f '{line} %g' 3000 >&2; touch {stage.folder / 'ready'}; exec sleep 600"
    supervisor = stage.supervisor(stage.child("a", script))

    def each_turn() -> None:
        if (stage.folder / "ready").exists():
            supervisor.stop()

    assert supervisor.run(each_turn) == 0
    assert len(capfd.readouterr().err.splitlines()) == 3000


def test_deaths_long_after_the_start_are_not_counted_together(stage: Stage) -> None:
    supervisor = stage.supervisor(
        stage.child("a", "exit 2"), rules=Rules(grace=30.0, settled=0.0, pause=0.0, turn=0.01, deaths=3)
    )

    def each_turn() -> None:
        if len(stage.pids("a")) >= 5:
            supervisor.stop()

    assert supervisor.run(each_turn) == 0


def test_the_pause_doubles_with_every_death(stage: Stage) -> None:
    rules = Rules(pause=0.001, turn=0.001, deaths=4)
    assert stage.supervisor(stage.child("a", "exit 2"), rules=rules).run() == 1
    assert [line.rsplit(" in ", 1)[1] for line in stage.said[:-1]] == ["0.001 s.", "0.002 s.", "0.004 s."]


DEAF = "trap '' TERM; touch {ready}; while :; do sleep 0.05; done"


def test_a_child_deaf_to_sigterm_is_killed_with_its_group(stage: Stage) -> None:
    ready = stage.folder / "ready"
    supervisor = stage.supervisor(stage.child("a", DEAF.format(ready=ready)), rules=Rules(grace=0.1, turn=0.01))

    def each_turn() -> None:
        if ready.exists():
            supervisor.stop()

    assert supervisor.run(each_turn) == 0
    assert stage.said == [STOPPING, "a did not stop in time: killed."]
    assert not alive(stage.pids("a")[0])


def test_asked_twice_it_does_not_wait(stage: Stage) -> None:
    ready = stage.folder / "ready"
    rules = Rules(grace=100_000.0, turn=0.01, impatience=0.0)
    supervisor = stage.supervisor(stage.child("a", DEAF.format(ready=ready)), rules=rules)

    def each_turn() -> None:
        if ready.exists():
            supervisor.stop()
            supervisor.stop()

    assert supervisor.run(each_turn) == 0
    assert stage.said == [STOPPING, "a was not waited for: killed."]


def test_the_same_wish_twice_at_once_is_one(stage: Stage) -> None:
    ready = stage.folder / "ready"
    slow = "trap 'sleep 0.2; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done"
    rules = Rules(grace=100_000.0, turn=0.01, impatience=100_000.0)
    supervisor = stage.supervisor(stage.child("a", slow.format(ready=ready)), rules=rules)

    def each_turn() -> None:
        if ready.exists():
            supervisor.stop()
            supervisor.stop()

    assert supervisor.run(each_turn) == 0
    assert stage.said == [STOPPING]


SUPERVISE = """
import os, sys
from graft.children import Command, Supervisor
script = 'echo $$; exec sleep 600'
children = [Command('a', ('sh', '-c', script)), Command('b', ('sh', '-c', script))]
sys.exit(Supervisor(children, environment=os.environ, say=print).run())
"""


@contextmanager
def supervising() -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A supervisor in a process of its own with two children, and the children's process ids."""
    with subprocess.Popen([sys.executable, "-c", SUPERVISE], stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise AssertionError("the output must be a pipe")
        try:
            yield process, [int(process.stdout.readline()) for _ in range(2)]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_that_asks_for_the_end_is_obeyed(number: signal.Signals) -> None:
    with supervising() as (process, children):
        process.send_signal(number)
        assert process.wait() == 0
        assert not any(alive(pid) for pid in children)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux' kernel kills the children of a killed process")
def test_kill_9_of_the_supervisor_leaves_no_child() -> None:
    with supervising() as (process, _):
        process.kill()
        # The children hold the other end of the pipe: its end of file says that they are gone.
        assert process.stdout is not None
        assert process.stdout.read() == ""
