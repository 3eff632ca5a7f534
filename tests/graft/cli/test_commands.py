"""From a folder to a prediction with the command alone, and everything else that it can be asked."""

import json
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import typer

from graft.cli.ending import asking
from graft.cli.following import leaving
from graft.cli.proposals import program
from graft.cli.terminal import Bars
from graft.client import ApiError, Unreachable
from tests.drawing import jpeg, write
from tests.graft.cli.conftest import Graft
from tests.graft.serving import Service


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return write(tmp_path, {"new.jpg": jpeg("discs", 100)}) / "new.jpg"


@pytest.mark.usefixtures("worker")
def test_from_a_folder_to_a_prediction(graft: Graft, pictures: Path, picture: Path) -> None:
    options = ("--preset", "fine-tuning", "--epochs", "3", "--set", "dropout=0.0", "--set", "optimizer=sgd")
    done = graft("train", pictures, "--model", "folder-shapes", "--test-split", "0.2", *options)
    assert done.stdout.splitlines() == [
        "Model folder-shapes, version 1: test accuracy 0.900 on 10 pictures, validation accuracy 0.800 on 5 pictures",
        "Try: graft predict PICTURE --model folder-shapes",
    ]
    notes = done.stderr.splitlines()
    assert notes[0] == "Uploading …"
    assert re.fullmatch(r"(job_\w+): watch it with graft watch \1", notes[1])
    assert any(note.endswith(" is ready: 3 classes, 12 train, 3 validation, 3 test") for note in notes)
    assert "  epoch 1: loss 0.2500, val_accuracy 0.8000" in notes
    job = json.loads(graft("jobs", "--model", "folder-shapes", "--json").stdout)[0]
    asked = {"preset": "fine-tuning", "epochs": 3, "dropout": 0.0, "optimizer": "sgd"}
    assert job["recipe"].items() >= asked.items()
    dataset = json.loads(graft("datasets", job["dataset"], "--json").stdout)
    assert dataset["name"] == "shapes"
    assert sum(dataset["counts"]["test"].values()) == 3
    predicted = graft("predict", picture, picture, "--model", "folder-shapes", "--top", "2").stdout.splitlines()
    assert predicted[0].split() == ["PICTURE", "LABEL", "PROBABILITY"]
    assert len(predicted) == 5
    assert predicted[1].startswith(f"{picture}  ")


@pytest.mark.usefixtures("worker")
def test_an_upload_and_then_a_training_of_the_dataset(graft: Graft, pictures: Path) -> None:
    first, second = graft("upload", pictures, "--name", "twice", "--split-seed", "7").stdout.splitlines()
    dataset = first.split()[0]
    assert first == f"{dataset} is ready: 3 classes, 15 train, 3 validation"
    assert second == f"Try: graft train {dataset} --model NAME"
    done = graft("train", dataset, "--model", "twice", "--json")
    job = json.loads(done.stdout)
    assert (job["state"], job["dataset"], job["version"]) == ("succeeded", dataset, 1)


@pytest.mark.usefixtures("worker")
def test_a_plan_is_a_table_with_its_reasons(graft: Graft, service: Service, pictures: Path) -> None:
    done = graft("plan", pictures, "--test-split", "0.2", "--time-budget", "600", "--set", "early_stopping.patience=7")
    *shown, tried = done.stdout.splitlines()
    assert shown == [
        "CUT          FROZEN  PROBE          EPOCHS  TIME     CHOICE",
        "block5_pool  13      0.950 ± 0.020  100     0:41     chosen",
        "block4_pool  10      0.900          8       10:00",
        "input        0                      3       2:30:00  too long",
        "15 training pictures are a small set.",
        "The last block's features are the best.",
        "Recipe: preset auto, cut block5_pool, batch_norm false",
    ]
    dataset = tried.split()[3]
    assert tried == f"Try: graft train {dataset} --model NAME"
    assert f"{dataset} is ready: 3 classes, 12 train, 3 validation, 3 test" in done.stderr
    (job,) = service.services.jobs.list(kinds=["plan"], datasets=[dataset])[0]
    assert job.recipe == {"preset": "auto", "time_budget": 600, "early_stopping": {"patience": 7}}
    assert json.loads(graft("plan", dataset, "--json").stdout)["result"]["cut"] == "block5_pool"
    assert graft("watch", job.id).stdout.splitlines()[:-1] == shown
    asked = graft("plan", dataset, "--no-wait").stdout
    assert asked == f"{asked.split()[0]} is queued. Watch it: graft watch {asked.split()[0]}\n"


def test_without_waiting_it_says_how_to_go_on(graft: Graft, service: Service, pictures: Path) -> None:
    done = graft("upload", pictures, "--no-wait")
    dataset = done.stdout.split()[0]
    assert done.stdout == f"{dataset} is validating. See what becomes of it: graft datasets {dataset}\n"
    service.validate()
    started = graft("train", dataset, "--model", "later", "--no-wait").stdout
    job = started.split()[0]
    assert started == f"{job} is queued. Watch it: graft watch {job}\n"
    assert graft("cancel", job).stdout == f"{job} is cancelled.\n"
    assert graft("watch", job, code=1).stderr.endswith(f"{job} was cancelled.\n")
    assert json.loads(graft("watch", job, "--json", code=1).stdout)["state"] == "cancelled"
    assert graft("delete", dataset, "--json").stdout == "{}\n"
    graft("datasets", dataset, code=5)


@pytest.mark.usefixtures("worker")
def test_a_set_that_is_rejected_ends_with_the_reasons(graft: Graft, tmp_path: Path) -> None:
    good = {f"{label}/1.jpg": jpeg(label, 1) for label in ("discs", "stripes")}
    source = write(tmp_path / "bad", {**good, "discs/2.jpg": b"no picture", "stripes/2.jpg": b"no picture"})
    done = graft("train", source, "--model", "never", code=1)
    assert done.stdout == ""
    notes = done.stderr.splitlines()
    assert any(note.startswith("discs/2.jpg: A picture must be") for note in notes)
    assert re.fullmatch(r"job_\w+ failed: (ds_\w+) was rejected\. See why: graft datasets \1", notes[-1])
    assert sum("discs/2.jpg: " in note for note in notes) == 1
    done = graft("upload", source, "--json", code=1)
    assert json.loads(done.stdout)["state"] == "rejected"
    assert done.stderr.endswith("was rejected. Correct it and upload it again.\n")


def test_a_wrong_recipe_is_refused_before_the_folder_is_sent(graft: Graft, tmp_path: Path) -> None:
    source = write(tmp_path / "large", {"a/1.jpg": b"x"})
    with (source / "a" / "2.jpg").open("wb") as file:
        file.truncate(10**12)
    done = graft("train", source, "--model", "never", "--set", "colour=red", code=4)
    assert "recipe has no field 'colour'" in done.stderr


@pytest.mark.usefixtures("worker")
def test_a_job_that_fails_ends_with_its_reason(graft: Graft, pictures: Path) -> None:
    dataset = graft("upload", pictures).stdout.split()[0]
    done = graft("train", dataset, "--model", "bad", code=1)
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith("failed. The training has diverged.")
    job = done.stderr.split()[-6]
    assert "error     The training has diverged." in graft("jobs", job).stdout


def test_lists_are_columns_that_a_program_can_read(graft: Graft, service: Service) -> None:
    version = service.publish("listed")
    service.services.registry.set_alias("listed", "canary", version)
    header, *rows = graft("models").stdout.splitlines()
    assert header.split() == ["MODEL", "VERSIONS", "ALIASES"]
    (row,) = [row for row in rows if row.startswith("listed ")]
    assert sorted(row.replace(",", "").split()) == ["1", "1", "1", "canary", "listed", "stable"]
    card = graft("models", "listed").stdout
    assert card.startswith("name     listed\n")
    assert "0.900" in card
    header, first, *_ = graft("jobs", "--limit", "1").stdout.splitlines()
    assert header.split() == ["JOB", "KIND", "STATE", "ABOUT", "PROGRESS", "CREATED"]
    assert first.split()[1:6] == ["train", "succeeded", "listed", "version", "1"]
    assert graft("jobs", "--limit", "1", "--model", "nothing").stdout == "JOB  KIND  STATE  ABOUT  PROGRESS  CREATED\n"


def test_a_model_says_what_is_wrong_with_a_version(graft: Graft, service: Service) -> None:
    version = service.publish("unwell")
    service.predictor.broken["unwell"] = {version: "Its answers must be finite; they are not."}
    shown = graft("models", "unwell").stdout
    assert shown.endswith(f"\n\nVersion {version} is quarantined: Its answers must be finite; they are not.\n")


def test_a_deadline_goes_along_with_pictures(graft: Graft, service: Service, picture: Path) -> None:
    for command in ("predict", "embed"):
        service.predictor.timeouts.clear()
        graft(command, *[picture] * 33, "--timeout", "2.5")
        assert service.predictor.timeouts == [2.5] * 4
    assert "must be seconds above 0" in graft("predict", picture, "--timeout", "0", code=4).stderr


def test_json_is_what_the_service_says(graft: Graft, picture: Path) -> None:
    answer = json.loads(graft("predict", picture, "--json", "--top", "1").stdout)
    assert (answer["model"], answer["version"]) == ("vgg16", 1)
    assert answer["predictions"][0]["filename"] == str(picture)
    features = json.loads(graft("embed", "--json", *[picture] * 33).stdout)
    assert features["shape"] == [33, 512]
    assert {entry["filename"] for entry in features["embeddings"]} == {str(picture)}
    assert [model["name"] for model in json.loads(graft("models", "--json").stdout)][-1] == "vgg16"


def test_what_was_answered_before_a_refusal_is_printed(graft: Graft, picture: Path) -> None:
    bad = write(picture.parent, {"bad.jpg": b"no picture"}) / "bad.jpg"
    done = graft("predict", *[picture] * 32, bad, "--top", "1", "--json", code=4)
    assert len(json.loads(done.stdout)["predictions"]) == 32
    assert "A picture must be" in done.stderr


def test_a_name_that_is_not_utf_8_is_one_sentence(graft: Graft, tmp_path: Path) -> None:
    bad = write(tmp_path, {"bad\udcff.jpg": jpeg("discs", 1)}) / "bad\udcff.jpg"
    assert "must have a name in UTF-8" in graft("predict", bad, code=2).stderr
    source = write(tmp_path / "by\udcff", {"a/1.jpg": jpeg("discs", 1)})
    assert "must have a name in UTF-8" in graft("upload", source, code=2).stderr
    assert "must be UTF-8" in graft("jobs", "job\udcff", code=2).stderr


def test_that_there_are_more_is_said(graft: Graft, service: Service) -> None:
    made = [service.services.jobs.create("train", model="more-of-them").id for _ in range(2)]
    done = graft("jobs", "--model", "more-of-them", "--limit", "1")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "There are more than these 1. List more of them by --limit.\n"
    assert graft("jobs", "--model", "more-of-them", "--limit", "2").stderr == ""
    for job in made:
        service.services.jobs.cancel(job)


def test_the_version_is_printed(graft: Graft) -> None:
    assert re.fullmatch(r"graft \d+\.\d+\.\d+\n", graft("--version").stdout)


@pytest.mark.parametrize(
    ("code", "arguments", "sentence"),
    [
        (2, ("upload", "nothing-there"), "there is none at nothing-there"),
        (2, ("train", "nothing-there", "--model", "m"), "there is none at nothing-there"),
        (2, ("train", "ds_1", "--model", "m", "--name", "n", "--test-split", "0.1"), "received --name, --test-split"),
        (2, ("train", "ds_1", "--model", "m", "--set", "epochs"), "received epochs."),
        (2, ("train", "ds_1", "--model", "m", "--epochs", "2", "--set", "epochs=3"), "--epochs and --set epochs=…"),
        (2, ("train", "ds_1", "--model", "m", "--set", "keep=1", "--set", "keep=2"), "received keep twice"),
        (2, ("train", "ds_1", "--model", "m", "--set", "keep=1", "--set", "keep.a=2"), "received keep.a twice"),
        (2, ("plan", "ds_1", "--set", "a.b=1", "--set", "a.b=2"), "received a.b twice"),
        (2, ("plan", "ds_1", "--time-budget", "60", "--set", "time_budget=3"), "--time-budget and --set time_budget=…"),
        (2, ("plan", "ds_1", "--name", "n"), "received --name for ds_1"),
        (2, ("plan", "nothing-there"), "there is none at nothing-there"),
        (4, ("plan", "ds_1", "--set", "preset=fine-tuning"), "received preset fine-tuning"),
        (5, ("plan", "ds_none"), "ds_none"),
        (2, ("predict", "nothing.jpg"), "does not exist"),
        (2, ("jobs", "--url", "ftp://elsewhere"), "http:// or https://; received ftp://elsewhere"),
        (4, ("train", "ds_1", "--model", "m", "--set", "colour=red"), "recipe has no field 'colour'"),
        (4, ("train", "ds_1", "--model", "m", "--epochs", "100000"), "recipe.epochs"),
        (4, ("upload", Path(__file__).parent, "--validation-split", "1"), "validation_split: input should be less"),
        (5, ("jobs", "job_none"), "There is no job job_none"),
        (5, ("watch", "job_none"), "There is no job job_none"),
        (5, ("models", "none"), "received 'none'"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_a_code(
    graft: Graft, code: int, arguments: tuple[str | Path, ...], sentence: str
) -> None:
    done = graft(*arguments, code=code)
    assert done.stdout == ""
    assert sentence in " ".join(done.stderr.replace("│", " ").split())


def test_a_service_that_goes_away_leaves_the_job_alone(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    bars.silence()
    bars.silence()
    with pytest.raises(Unreachable), leaving("job_1 goes on without you.", bars):
        raise Unreachable("It does not answer.")
    with pytest.raises(ApiError), leaving("job_1 goes on without you.", bars):
        raise ApiError(404, "There is no job job_1.")
    said = capsys.readouterr().err
    assert said == "The service does not answer; trying again for a minute.\njob_1 goes on without you.\n"


def test_interrupted_while_it_watches_it_leaves_the_job_alone(service: Service) -> None:
    jobs = service.services.jobs
    job = jobs.create("train", model="interrupted").id
    command = [sys.executable, "-m", "graft.cli", "watch", job, "--url", service.url]
    # As from a terminal: what a script starts in the background is deaf to Ctrl-C, and so is all that comes of it.
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listening) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == "Waiting for a worker …\n"
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
        finally:
            process.kill()
    assert process.returncode == 130
    watch, cancel = (f"graft {word} --url {service.url} {job}" for word in ("watch", "cancel"))
    assert rest == f"{job} goes on without you. Watch it: {watch}. Stop it: {cancel}.\n"
    assert jobs.get(job).state == "queued"
    jobs.cancel(job)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "Interrupted."),
        (Unreachable("It does not answer."), 3, "It does not answer. Start it (make up), or name another --url."),
        (ApiError(429, "Too many at once."), 3, "Too many at once."),
        (ApiError(503, "Not ready yet."), 3, "Not ready yet."),
    ],
)
def test_what_goes_wrong_elsewhere_ends_with_a_code_too(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, sentence: str
) -> None:
    with pytest.raises(typer.Exit) as end, asking("http://127.0.0.1:1", None):
        raise error
    assert end.value.exit_code == code
    assert capsys.readouterr().err == f"{sentence}\n"


@pytest.mark.parametrize(
    ("called", "named"),
    [(".venv/bin/graft", ".venv/bin/graft"), ("tools/graft", "graft"), ("graft/__main__.py", "graft")],
)
def test_what_it_proposes_is_called_as_it_was_called_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, named: str
) -> None:
    for name in ("tools/graft", ".venv/bin/graft"):
        (write(tmp_path, {name: b""}) / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "tools")
    monkeypatch.setattr(sys, "argv", [called])
    assert program() == named


@pytest.mark.parametrize("module", ["graft.cli", "graft.client"])
def test_it_starts_without_what_only_the_service_needs(module: str) -> None:
    heavy = {"sqlalchemy", "alembic", "uvicorn", "numpy", "PIL", "pydantic_settings", "tensorflow", "fastapi"}
    script = f"import sys, {module}; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
