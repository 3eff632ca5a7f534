from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from graft.datasets.files import DatasetFiles


def test_what_is_made_is_kept_once_under_its_hash(tmp_path: Path) -> None:
    files = DatasetFiles(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        hashes = set(pool.map(lambda i: files.keep("ds_1", bytes([i % 3]) * 1000), range(60)))
    assert len(hashes) == 3
    for sha256 in hashes:
        assert len(files.content("ds_1", sha256).read_bytes()) == 1000
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3


def test_a_file_that_a_power_cut_left_short_is_made_anew(tmp_path: Path) -> None:
    files = DatasetFiles(tmp_path)
    sha256 = files.keep("ds_1", b"picture")
    files.content("ds_1", sha256).write_bytes(b"")
    assert files.keep("ds_1", b"picture") == sha256
    assert files.content("ds_1", sha256).read_bytes() == b"picture"
