"""A supervisor of child processes in the foreground: it starts them again when they die, and ends them in good order.

Each child leads a session of its own, so that Ctrl-C reaches the supervisor alone, which then stops them in good order.
A child is killed by the kernel when the supervisor itself dies without a chance to do that (Linux).
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from graft.vgg16.noise import QuietPipe

PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Command:
    """A child: what the supervisor's sentences call it, and its argument list."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """When children are started again, and how long they have to stop; all in seconds but `deaths`.

    A child that died before it was `settled` is started again after a pause that doubles from `pause`; after so many
    `deaths` in a row the supervisor gives up, as the next try would do no better. Asked to stop once more after the
    `impatience`, it waits no longer; before that it is the same wish, which make passes on to who has heard it.
    """

    grace: float = 12.0
    settled: float = 30.0
    pause: float = 1.0
    deaths: int = 5
    turn: float = 0.1
    impatience: float = 1.0


RULES = Rules()


class _Child:
    def __init__(self, command: Command) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.errors: QuietPipe | None = None
        self.deaths = 0  # in a row, before it had settled
        self.start_at = 0.0  # monotonic seconds
        self.started = 0.0

    def alive(self) -> bool:
        """Whether the process runs. A dead one is left unreaped, so that its number is still its group's."""
        if self.process is None:
            return False
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def bury(self) -> int:
        """Kill what is left of the child and of its group; the exit code, or minus the number of a signal."""
        if self.process is None:
            return 0
        with suppress(PermissionError):  # macOS says so of a group that holds nothing but its dead leader
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        self.process = None
        if self.errors is not None:
            self.errors.close()
            self.errors = None
        return code

    def start(self, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            self.command.arguments,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            preexec_fn=_dies_with(os.getpid()),
        )
        self.errors = QuietPipe(self.process.stderr) if self.process.stderr else None
        self.started = time.monotonic()

    def ask_to_stop(self) -> None:
        if self.process is not None and self.alive():
            os.killpg(self.process.pid, signal.SIGTERM)


class Supervisor:
    """Runs the commands until it is told to stop, by `stop` or by SIGINT, SIGTERM or SIGHUP."""

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        environment: Mapping[str, str],
        say: Callable[[str], None],
        rules: Rules = RULES,
    ) -> None:
        self._children = [_Child(command) for command in commands]
        self._environment = environment
        self._say = say
        self._rules = rules
        self._stopped_at: float | None = None
        self._hurried = False

    def stop(self) -> None:
        """Ask for the end; asked again, it does not wait for the children. Plain values: signal handlers call it."""
        now = time.monotonic()
        if self._stopped_at is None:
            self._stopped_at = now
        elif now - self._stopped_at >= self._rules.impatience:
            self._hurried = True

    def run(self, each_turn: Callable[[], None] = lambda: None) -> int:
        """Supervise until the end, and return the exit code: 0 when asked to stop, 1 when a child keeps dying."""

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            self.stop()

        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, on_signal) for number in signals}
        try:
            while self._stopped_at is None:
                for child in self._children:
                    if not self._tend(child):
                        return 1
                each_turn()
                self._wait_a_turn()
            self._say("Stopping: accepted requests are answered, and running jobs go on at the next start.")
            return 0
        finally:
            self._stop_children()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _tend(self, child: _Child) -> bool:
        """Start the child where it is due; False when it has died too often."""
        if child.alive():
            return True
        now = time.monotonic()
        if child.process is not None and not self._mourn(child, child.bury(), now):
            return False
        if now >= child.start_at:
            child.start(self._environment)
        return True

    def _mourn(self, child: _Child, code: int, now: float) -> bool:
        child.deaths = 1 if now - child.started >= self._rules.settled else child.deaths + 1
        end = f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
        if child.deaths >= self._rules.deaths:
            self._say(
                f"{child.command.name} {end}, {child.deaths} times in a row soon after its start: giving up. "
                "What it printed above says why."
            )
            return False
        pause = self._rules.pause * 2 ** (child.deaths - 1)
        child.start_at = now + pause
        self._say(f"{child.command.name} {end}; starting it again in {pause:g} s.")
        return True

    def _wait_a_turn(self) -> None:
        for child in self._children:
            if child.errors is not None:
                child.errors.forward()
        time.sleep(self._rules.turn)

    def _stop_children(self) -> None:
        """SIGTERM to all, and after the grace SIGKILL to the groups of those that are still there."""
        for child in self._children:
            child.ask_to_stop()
        deadline = time.monotonic() + self._rules.grace
        while any(child.alive() for child in self._children) and not self._hurried and time.monotonic() < deadline:
            self._wait_a_turn()
        for child in self._children:
            if child.alive():
                self._say(
                    f"{child.command.name} {'was not waited for' if self._hurried else 'did not stop in time'}: killed."
                )
            child.bury()


def _dies_with(parent: int) -> Callable[[], None] | None:
    """What a child does before its program begins, so that the kernel kills it when the supervisor dies."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # here, as little as possible may happen between fork and exec

    def ask_the_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask_the_kernel
