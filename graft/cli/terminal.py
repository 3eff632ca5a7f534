"""What people see: bars and notes on stderr, results on stdout; plain lines and columns where no terminal is."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Self, TypeVar

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from graft.client import Event
from graft.client import Progress as JobProgress
from graft.client.answers import Answer

A = TypeVar("A", bound=Answer)

UPLOADING = "Uploading"
STAGES = {
    "validating": "Looking at every picture",
    "planning": "Planning",
    "extracting": "Computing features",
    "training": "Training",
    "evaluating": "Evaluating",
    "publishing": "Publishing",
}
EARLY_ENDS = {"early_stopping": "it has got no better for a while", "time_budget": "the time budget is used up"}


def line(text: str) -> None:
    """A line of the result."""
    print(text, flush=True)


def show_json(thing: Answer | Sequence[Answer] | Mapping[str, Any]) -> None:
    def plain(value: Any) -> Any:
        return value.model_dump(mode="json") if isinstance(value, Answer) else value

    value = [plain(each) for each in thing] if isinstance(thing, list) else plain(thing)
    line(json.dumps(value, indent=2, ensure_ascii=False))


def show_list(
    things: Iterator[A], limit: int, columns: Sequence[str], row: Callable[[A], Sequence[str]], *, as_json: bool
) -> None:
    """Many things: as JSON, or a row for each. That there are more than `limit` is said on stderr."""
    found = list(islice(things, limit))
    if as_json:
        show_json(found)
    else:
        show_table(columns, [row(each) for each in found])
    if next(things, None) is not None:
        print(f"There are more than these {limit}. List more of them by --limit.", file=sys.stderr)


def show_one(thing: A, details: Callable[[A], None], *, as_json: bool) -> None:
    """One thing: as JSON, or as `details` shows it."""
    if as_json:
        show_json(thing)
    else:
        details(thing)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere, for programs such as awk, aligned columns. Nothing is ever cut."""
    if sys.stdout.isatty():
        show_on_terminal(Console(markup=False, highlight=False), columns, rows)
        return
    table_rows = [columns, *rows]
    widths = [max(len(row[i]) for row in table_rows) for i in range(len(columns))]
    for row in table_rows:
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_on_terminal(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Words stay whole, ids too: where they do not fit, the time of creation gives way, then the terminal wraps."""
    cells = [(columns[i], *(row[i] for row in rows)) for i in range(len(columns))]
    words = [max(len(word) for cell in column for word in (*cell.split(), "")) for column in cells]
    words[0] = max(map(len, cells[0]))  # what a thing is called may have spaces
    if columns[-1] == "CREATED" and _width(words) > console.width:
        columns, rows, words = columns[:-1], [row[:-1] for row in rows], words[:-1]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, width, column in zip(columns, words, cells, strict=False):
        table.add_column(name, min_width=width, no_wrap=width == max(map(len, column)))
    for row in rows:
        table.add_row(*row)
    console.width = max(console.width, _width(words))
    console.print(table)


def _width(columns: Sequence[int]) -> int:
    return sum(columns) + 2 * len(columns)  # two spaces after each


def show_fields(**fields: object) -> None:
    """One thing, a line for each of its fields that has a value."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        if value not in (None, ""):
            line(f"{name.replace('_', ' ').ljust(width)}  {value}")


def instant(at: datetime | None) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""


class _Moving:
    """Bars on a terminal; elsewhere, what is said and no more."""

    def __init__(self, console: Console, *columns: ProgressColumn) -> None:
        self._console = console
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """The bars move no more; what is said from now on stands below them."""
        self._bars.stop()

    def say(self, text: str) -> None:
        if self._bars.disable:  # rich would print twice what Ctrl-C interrupts
            print(text, file=self._console.file, flush=True)
        else:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class DownloadBars(_Moving):
    """Downloads on stdout: a bar for each on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        super().__init__(console or Console(), TextColumn("{task.description}"), *columns)
        self._tasks: dict[str, TaskID] = {}

    def progress(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done, total=total)


class Bars(_Moving):
    """Progress on stderr: a bar for each stage on a terminal, one line for each stage and epoch elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[note]}", markup=False))
        super().__init__(console or Console(stderr=True), *columns)
        self._stage = self._note = ""
        self._task = TaskID(0)
        self._silent = False

    def uploaded(self, done: int, total: int) -> None:
        self._show(UPLOADING, done, total, f"{decimal(done)} of {decimal(total)}")

    def progress(self, now: JobProgress) -> None:
        self._silent = False
        if now.phase is None:
            self._show("Waiting for a worker", None, None, "")
            return
        done, total, note = now.step, now.steps, ""
        if now.phase == "training" and now.epoch is not None and now.epochs is not None:
            note = f"epoch {now.epoch} of {now.epochs}"
            done = (now.epoch - 1) * (now.steps or 1) + (now.step or 0)
            total = now.epochs * (now.steps or 1)
        elif done is not None and total is not None:
            note = f"{done} of {total}"
        if now.rate:
            rate = f"{now.rate:.{0 if now.rate >= 10 else 1}f} pictures/s"
            note = ", ".join(filter(None, (note, rate)))
        self._show(STAGES.get(now.phase, now.phase), done, total, note, now.eta_seconds)

    def silence(self) -> None:
        """Once, until there is news again."""
        if not self._silent:
            self.say("The service does not answer; trying again for a minute.")
        self._silent = True

    def event(self, event: Event) -> None:
        if event.type == "epoch":
            if self._stage != STAGES["training"]:  # news of an epoch may come before the first of its steps
                self._begin(STAGES["training"])
            epoch, measures = event.data.get("epoch"), event.data
            if self._bars.disable:
                self.say(f"  epoch {epoch}: {_measures(measures)}")
            else:  # what is left on the screen when the training is over
                measure = "val_accuracy" if "val_accuracy" in measures else "accuracy"
                self._note = f"epoch {epoch}, {_measures({measure: measures.get(measure)})}"
        elif event.type == "plan":
            for reason in event.data.get("reasons", ()):
                self.say(f"  {reason}")
        elif event.type in EARLY_ENDS:
            self.say(f"  It ends with epoch {event.data.get('epoch')}: {EARLY_ENDS[event.type]}.")
        elif event.type == "lost":
            self.say(f"The run was lost and begins again where it was: {event.data.get('message')}")

    def _show(self, stage: str, done: int | None, total: int | None, note: str, eta: float | None = None) -> None:
        if stage != self._stage:
            self._begin(stage)
        if self._bars.disable:
            return
        if stage == UPLOADING:
            eta = self._bars.tasks[-1].time_remaining
        left = f"{duration(eta)} left" if eta else ""
        self._note = note
        self._bars.update(self._task, completed=done, total=total, note=", ".join(filter(None, (note, left))))

    def _begin(self, stage: str) -> None:
        if self._bars.disable:
            self.say(f"{stage} …")
        else:
            self._bars.refresh()
            if self._stage:
                self._bars.update(self._task, total=1, completed=1, note=self._note)
            self._task = self._bars.add_task(stage, total=None, note="")
        self._stage = stage


def _measures(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in data.items() if isinstance(value, float))


def duration(seconds: float) -> str:
    """Such as 1:30, or 1:00:30."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
