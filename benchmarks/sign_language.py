"""The sign-language digits (1712 training, 300 validation, 50 test pictures) through the whole service, over HTTP.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.sign_language [--preset fine-tuning] [--seeds 0 1 2]

Starts `graft up` in a temporary home, uploads the folder as one zip, trains the preset once for each seed, and prints
each run's accuracy on the 50 test pictures as the job reports it, the same counted from predictions over HTTP, the
median, and the times. Published for the textbook's run of `fine-tuning`: 0.98.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tests.e2e.service import Service, running

PUBLISHED = 0.98


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--preset", default="fine-tuning")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = arguments.parse_args()
    if "GRAFT_TEST_ASSETS" not in os.environ:
        sys.exit("GRAFT_TEST_ASSETS must name the folder that holds weights/ and sign-language-digits/; it is not set.")
    assets = Path(os.environ["GRAFT_TEST_ASSETS"])
    print(
        f"float32, pictures of 224x224, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        archive = zip_folder(assets / "sign-language-digits", Path(folder) / "digits.zip")
        with running(home, GRAFT_WEIGHTS_DIR=str(assets / "weights")) as service:
            report(service, archive, sorted(assets.glob("sign-language-digits/test/*/*")), asked.preset, asked.seeds)


def report(service: Service, archive: Path, tests: list[Path], preset: str, seeds: list[int]) -> None:
    started = time.monotonic()
    dataset = service.upload(archive, "sign-language-digits")
    print(f"upload and validation: {time.monotonic() - started:.0f} s; {dataset['counts']}", flush=True)
    accuracies = []
    for seed in seeds:
        started = time.monotonic()
        job = service.train(dataset["id"], "digits", {"preset": preset, "seed": seed})
        seconds = time.monotonic() - started
        right = sum(top_label(service, file) == file.parent.name for file in tests)
        test, validation = job["metrics"]["test"]["accuracy"], job["metrics"]["validation"]["accuracy"]
        accuracies.append(right / len(tests))
        print(
            f"{preset}, seed {seed}: test {test:.3f} in the job, {right}/{len(tests)} over HTTP; "
            f"validation {validation:.3f}; {seconds:.0f} s",
            flush=True,
        )
    median = statistics.median(accuracies)
    print(
        f"{preset}: median test accuracy {median:.3f} over {len(seeds)} seeds (published for fine-tuning: {PUBLISHED})"
    )


def top_label(service: Service, file: Path) -> str:
    label: str = service.predict("digits", file.read_bytes(), top=1)["predictions"][0]["top"][0]["label"]
    return label


def zip_folder(folder: Path, archive: Path) -> Path:
    """A zip of the splits in the folder, under their own names."""
    with zipfile.ZipFile(archive, "w") as file:
        for split in ("train", "valid", "test"):
            for path in sorted((folder / split).glob("*/*")):
                file.write(path, path.relative_to(folder))
    return archive


if __name__ == "__main__":
    main()
