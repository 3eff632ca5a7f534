"""Following a job until it ends, and what is said about how things ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer

from graft.cli.ending import INTERRUPTED, fail
from graft.cli.plans import show_plan
from graft.cli.proposals import proposal
from graft.cli.terminal import Bars, line
from graft.client import ApiError, Client, Dataset, Event, Job, Unreachable
from graft.client.bodies import Folder
from graft.client.request import Call

T = TypeVar("T")
FINDINGS = 10


def follow(client: Client, job: Job, bars: Bars) -> Job:
    """The job once it has ended."""
    if not job.finished:
        bars.progress(job.progress)
    for news in client.watch(job, on_silence=bars.silence):
        if isinstance(news, Event):
            bars.event(news)
        else:
            bars.progress(news)
    return client.job(job)


@contextmanager
def leaving(sentence: str, bars: Bars) -> Iterator[None]:
    """Ctrl-C within, or a service that answers no more, ends the program with a sentence, and nothing of the work."""
    try:
        yield
    except KeyboardInterrupt:
        bars.end()
        bars.say(sentence)
        raise typer.Exit(INTERRUPTED) from None
    except (Unreachable, ApiError) as error:
        if not (isinstance(error, ApiError) and error.status == 404):
            bars.end()
            bars.say(sentence)
        raise


def goes_on(job: str, url: str) -> str:
    return (
        f"{job} goes on without you. Watch it: {proposal(url, 'watch', job)}. Stop it: {proposal(url, 'cancel', job)}."
    )


def send(client: Client, call: Call[T], bars: Bars) -> T:
    """Upload, and say what stays behind."""
    if isinstance(call.body, Folder) and call.body.left_out:
        names = ", ".join(call.body.left_out[:3])
        bars.say(f"{len(call.body.left_out)} links that lead out of {call.body.path} are left out, such as {names}.")
    return client.ask(call)


def settle(client: Client, dataset: str, bars: Bars, url: str) -> Dataset:
    """The dataset once every picture has been looked at; what was found is said."""
    for job in client.jobs(kind="validate", dataset=dataset):
        follow(client, job, bars)
        break
    found = client.wait_dataset(dataset)
    sentences = findings(found)
    for sentence in sentences[:FINDINGS]:
        bars.say(sentence)
    if len(sentences) > FINDINGS:
        bars.say(f"And {len(sentences) - FINDINGS} more: {proposal(url, 'datasets', found.id)}")
    return found


def findings(dataset: Dataset) -> list[str]:
    """A sentence for each thing that was found about its files."""
    checks = [f"{check.severity}: {check.message} {check.advice or ''}".rstrip() for check in dataset.checks or ()]
    told = {(check.code, check.message) for check in dataset.checks or ()}
    problems = [each for each in dataset.problems if each.path or (each.code, each.message) not in told]
    return checks + [f"{each.path}: {each.message}" if each.path else each.message for each in problems]


def pictures(dataset: Dataset) -> str:
    """Such as: 3 classes, 36 train, 12 validation, 12 test. Empty until that is known."""
    if dataset.classes is None:
        return ""
    counts = {split: sum(classes.values()) for split, classes in (dataset.counts or {}).items()}
    return ", ".join([f"{len(dataset.classes)} classes", *(f"{n} {split}" for split, n in counts.items() if n)])


def conclude(job: Job, url: str, *, quiet: bool) -> None:
    """How a job has ended, on stdout unless `quiet`; or the end of the program, where that was badly."""
    if job.state == "cancelled":
        fail(f"{job.id} was cancelled.")
    if job.error and job.error.code == "dataset_rejected" and job.dataset:  # its reasons have been said, or are many
        fail(f"{job.id} failed: {job.dataset} was rejected. See why: {proposal(url, 'datasets', job.dataset)}")
    if job.state == "failed":
        reason = job.error.message if job.error else "It does not say why."
        fail(f"{job.id} failed. {reason}")
    if quiet:
        return
    if job.kind == "plan":
        show_plan(job)
        line(f"Try: {proposal(url, 'train', job.dataset or 'DATASET')} --model NAME")
        return
    if job.kind != "train":
        line(f"{job.id} succeeded.")
        return
    line(f"Model {job.model}, version {job.version}: {accuracy(job)}")
    line(f"Try: {proposal(url, 'predict', 'PICTURE')} --model {job.model}")


def accuracy(job: Job) -> str:
    """Of each split that was measured, the test first."""
    measured = {split: (job.metrics or {}).get(split) for split in ("test", "validation")}
    return ", ".join(
        f"{split} accuracy {found['accuracy']:.3f} on {found['pictures']} pictures"
        for split, found in measured.items()
        if isinstance(found, dict) and "accuracy" in found and "pictures" in found
    )
