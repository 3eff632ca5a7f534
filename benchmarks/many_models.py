"""The same pictures asked of many models that are frozen whole: in one request, and of each model alone.

    GRAFT_TEST_ASSETS=FOLDER python -m benchmarks.many_models [--models 8] [--pictures 4] [--rounds 5]

Publishes random heads in a temporary home and asks the engine itself, without HTTP. Claimed: however many models, one
request costs little more than one model's.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from graft.database import connect, migrate
from graft.engine.predictor import Predictor
from graft.settings import Settings
from graft.stores import open_stores
from tests.app.conftest import publish


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--models", type=int, default=8)
    arguments.add_argument("--pictures", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=5)
    asked = arguments.parse_args()
    if "GRAFT_TEST_ASSETS" not in os.environ:
        sys.exit("GRAFT_TEST_ASSETS must name the folder that holds weights/ and sign-language-digits/; it is not set.")
    assets = Path(os.environ["GRAFT_TEST_ASSETS"])
    paths = sorted(assets.glob("sign-language-digits/test/*/*"))[: asked.pictures]
    files = [(path.name, path.read_bytes()) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), weights_dir=assets / "weights")
        engine = connect(settings.sqlalchemy_url)
        migrate(engine)
        stores = open_stores(settings, engine)
        predictor = Predictor(stores.registry, stores.weights, memory_bytes=10**9, max_pixels=10**8, timeout=600)
        models = [f"m{i}" for i in range(asked.models)]
        for model in models:
            publish(stores.registry, model, 1, f"job_{model}", scale=0.1)
        predictor.start()
        print(f"float32, {len(files)} pictures of 224x224, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        predictor.predict_many(models, files)  # loads them
        one, each, together = medians(
            asked.rounds,
            lambda: predictor.predict(models[0], files),
            lambda: [predictor.predict(model, files) for model in models],
            lambda: predictor.predict_many(models, files),
        )
        print(f"one model {one:.3f} s; {len(models)} one by one {each:.3f} s, in one request {together:.3f} s")
        print(f"one request for {len(models)} models costs {together / one:.2f} of one model's, {each / one:.2f} alone")
        predictor.close()
        engine.dispose()


def medians(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Seconds of each; they take turns, so that what else the machine does slows all of them."""
    return [statistics.median(seconds) for seconds in zip(*(map(timed, works) for _ in range(rounds)), strict=True)]


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
