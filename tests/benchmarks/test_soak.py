import asyncio
from pathlib import Path

from benchmarks import soak
from benchmarks.grafts import opened


def test_versions_come_and_go_and_nothing_piles_up(tmp_path: Path) -> None:
    with opened(tmp_path / "home") as stores:
        looks = asyncio.run(soak.tiny(stores, predictions=1000))
    assert soak.report("1,000 on a tiny trunk", looks)
