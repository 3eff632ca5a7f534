"""What a person sees."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from graft.cli.terminal import Bars, DownloadBars, show_on_terminal, show_table
from graft.client import Event, Progress


def watched(screen: io.StringIO, *, terminal: bool) -> str:
    with Bars(Console(file=screen, force_terminal=terminal, width=120, legacy_windows=False)) as bars:
        bars.uploaded(1_000_000, 3_000_000)
        bars.uploaded(3_000_000, 3_000_000)
        bars.progress(Progress())
        bars.progress(Progress(phase="extracting", step=30, steps=60, eta_seconds=75.4))
        bars.progress(Progress(phase="planning"))
        plan = {"cut": "block5_pool", "reasons": ["They are few.", "They are [near]."]}
        bars.event(Event(id=2, type="plan", data=plan, at=datetime.now(UTC)))
        bars.progress(Progress(phase="training", epoch=2, epochs=4, step=3, steps=6, rate=42.4, eta_seconds=3700))
        data = {"epoch": 1, "loss": 0.5, "accuracy": 0.75}
        bars.event(Event(id=3, type="epoch", data=data, at=datetime.now(UTC)))
        bars.event(Event(id=3, type="time_budget", data={"epoch": 1, "of": 4}, at=datetime.now(UTC)))
        bars.event(Event(id=4, type="lost", data={"message": "The worker [/x] died."}, at=datetime.now(UTC)))
        bars.progress(Progress(phase="an unknown one"))
    return screen.getvalue()


def test_a_terminal_gets_a_bar_for_each_stage_with_the_time_that_is_left() -> None:
    seen = watched(io.StringIO(), terminal=True)
    for words in (
        "Uploading",
        "3.0 MB of 3.0 MB",
        "Waiting for a worker",
        "30 of 60, 1:15 left",
        "They are [near].",
        "epoch 2 of 4, 42 pictures/s, 1:01:40 left",
        "epoch 1, accuracy 0.7500",
        "an unknown one",
        "The run was lost and begins again where it was: The worker [/x] died.",
    ):
        assert words in seen


def test_elsewhere_there_are_single_lines() -> None:
    assert watched(io.StringIO(), terminal=False).splitlines() == [
        "Uploading …",
        "Waiting for a worker …",
        "Computing features …",
        "Planning …",
        "  They are few.",
        "  They are [near].",
        "Training …",
        "  epoch 1: loss 0.5000, accuracy 0.7500",
        "  It ends with epoch 1: the time budget is used up.",
        "The run was lost and begins again where it was: The worker [/x] died.",
        "an unknown one …",
    ]


def test_a_table_elsewhere_is_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("A", "LONG"), [("x" * 90, "1"), ("[bold]", "")])
    assert capsys.readouterr().out.splitlines() == ["A" + " " * 91 + "LONG", "x" * 90 + "  1", "[bold]"]


@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_table_on_a_terminal_cuts_no_word(width: int) -> None:
    columns = ("JOB", "KIND", "STATE", "ABOUT", "PROGRESS", "CREATED")
    job, dataset = "job_m7oh76g6a4abcdef", "ds_m7oh76g6a4abcdef"
    screen = io.StringIO()
    row = (job, "validate", "cancelling", dataset, "validating, 30 of 60", "2026-11-24 09:00:00")
    show_on_terminal(Console(file=screen, force_terminal=True, width=width, color_system=None), columns, [row])
    seen = screen.getvalue()
    assert "…" not in seen
    assert {job, dataset, "cancelling"} <= set(seen.split())
    assert ("CREATED" in seen) == (width == 200)
    assert max(len(line.rstrip()) for line in seen.splitlines()) <= max(width, 80)


@pytest.mark.parametrize("terminal", [True, False])
def test_downloads_are_said_and_on_a_terminal_there_is_a_bar_for_each(terminal: bool) -> None:
    screen = io.StringIO()
    with DownloadBars(Console(file=screen, force_terminal=terminal, width=120)) as bars:
        bars.say("Fetching f.h5 from [a mirror]")
        for done in (0, 30_000_000, 60_000_000):
            bars.progress("f.h5", done, 60_000_000)
    seen = screen.getvalue()
    if terminal:
        assert "Fetching f.h5 from [a mirror]\n" in seen
        assert "60.0/60.0 MB" in seen
    else:
        assert seen == "Fetching f.h5 from [a mirror]\n"
