from itertools import cycle
from pathlib import Path

from benchmarks.grafts import AVG_SOFTMAX, opened, publish
from benchmarks.load import closed_loop
from benchmarks.overload import MODEL, PATH, overload
from benchmarks.service import uvicorn
from benchmarks.wire import post
from tests.drawing import jpeg

A_PICTURE = 0.01  # seconds
# What pools hold at most, of threads and of connections to the database; something left by each of a thousand requests
# would be many more.
THREADS, DESCRIPTORS = 100, 50


def test_at_five_times_the_capacity_all_are_answered_or_refused_and_nothing_piles_up(tmp_path: Path) -> None:
    home, pictures = tmp_path / "home", [jpeg("discs", i) for i in range(8)]
    with opened(home) as stores:
        publish(stores.registry, MODEL, AVG_SOFTMAX)
    settings = {"GRAFT_HOME": str(home), "TINY_SECONDS": str(A_PICTURE)}
    with uvicorn("benchmarks.tiny:create_app", tmp_path / "log", **settings) as server:
        closed_loop(server.port, cycle([post(PATH, picture) for picture in pictures]), clients=32, seconds=0.5)
        found = overload(server, pictures, rate=5 / A_PICTURE, seconds=2, timeout=0.5, probes=10)
        assert not found.wrong
        assert found.answered
        assert found.refused
        assert found.after.threads < THREADS
        while server.usage().descriptors > DESCRIPTORS:
            pass  # it is still closing what the clients have closed
