"""Serving while a job trains on the same machine, and what that costs the job.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.beside_training [--precision bfloat16] [--seconds 40]

Starts `graft up`, uploads drawn pictures of three classes, and trains the tail of block 5 once, so that the features of
the frozen part are kept. Then clients are alone, beside a training, and the training is alone. Printed: throughput and
median of 1 and of 8 clients beside it over those alone, and the training's steps a second beside them over those alone.
The job's process has a lower priority than the service.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from benchmarks.load import Load, closed_loop
from benchmarks.machine import assets, describe
from benchmarks.pictures import MEAN_SIZE, photos
from benchmarks.wire import post
from tests.drawing import folder as drawn
from tests.drawing import zip_of
from tests.e2e.service import Service, running

CLIENTS = (1, 8)
MODEL = "shapes"
PATH = f"/api/v1/models/{MODEL}/predict"
PICTURES = 80  # of each class
RECIPE = {"preset": "fine-tuning"}  # its precision is the service's
EPOCHS = 1000  # more than it gets to


class Job:
    """A training that is at its steps. steps: how many it has done."""

    def __init__(self, service: Service, path: str) -> None:
        self._service, self._path = service, path

    def steps(self) -> int:
        progress = self._service.http.get(self._path).raise_for_status().json()["progress"] or {}
        if progress.get("phase") != "training" or not progress.get("steps"):
            return 0
        return int((progress["epoch"] - 1) * progress["steps"] + progress["step"])

    @contextmanager
    def counted(self, rates: list[float]) -> Iterator[None]:
        """Adds the steps a second that it does meanwhile."""
        began, before = time.monotonic(), self.steps()
        yield
        rates.append((self.steps() - before) / (time.monotonic() - began))


@contextmanager
def training(service: Service, dataset: str) -> Iterator[Job]:
    """A job with the tail of block 5, from its first steps on; cancelled at the end."""
    recipe = {**RECIPE, "epochs": EPOCHS}
    asked = {"dataset": dataset, "model": "other", "recipe": recipe}
    path = f"/jobs/{service.http.post('/jobs', json=asked).raise_for_status().json()['id']}"
    job = Job(service, path)
    service.wait(lambda: job.steps() > 0, 600, "the first steps")
    yield job
    service.http.post(f"{path}/cancel").raise_for_status()
    service.wait(lambda: service.http.get(path).json()["state"] == "cancelled", 60, "the end of the job")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--seconds", type=float, default=40, help="of each number of clients")
    arguments.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of both")
    asked = arguments.parse_args()
    print(f"{describe()}\n{asked.precision}, drawn JPEGs of {MEAN_SIZE[0]}x{MEAN_SIZE[1]}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home, archive = Path(folder) / "home", zip_of(drawn(PICTURES), Path(folder) / "shapes.zip")
        settings = {
            "GRAFT_WEIGHTS_DIR": str(assets() / "weights"),
            "GRAFT_PRECISION": asked.precision,
            "GRAFT_PREDICT_TIMEOUT_SECONDS": "600",
        }
        with running(home, **settings) as service:
            dataset = service.upload(archive, MODEL)["id"]
            service.train(dataset, MODEL, {**RECIPE, "epochs": 1})
            report(service, dataset, asked.seconds)


def report(service: Service, dataset: str, seconds: float) -> None:
    alone = {clients: load(service, clients, seconds) for clients in CLIENTS}
    steps: dict[int, list[float]] = {clients: [] for clients in (0, *CLIENTS)}
    beside = {}
    with training(service, dataset) as job:
        for clients in CLIENTS:
            with job.counted(steps[clients]):
                beside[clients] = load(service, clients, seconds)
        with job.counted(steps[0]):
            time.sleep(seconds)
    (quiet,) = steps[0]
    for clients in CLIENTS:
        (busy,) = steps[clients]
        print(
            f"{clients} clients beside a training: {beside[clients].rate / alone[clients].rate:.2f} of the pictures a "
            f"second ({beside[clients].rate:.2f} against {alone[clients].rate:.2f}), median "
            f"{beside[clients].median * 1e3:.0f} ms against {alone[clients].median * 1e3:.0f}; the training does "
            f"{busy / quiet:.2f} of its steps ({busy:.2f} a second against {quiet:.2f})"
        )


def load(service: Service, clients: int, seconds: float) -> Load:
    requests = cycle([post(PATH, picture) for picture in photos(64)])
    return closed_loop(int(service.url.rpartition(":")[2]), requests, clients, seconds)


if __name__ == "__main__":
    main()
