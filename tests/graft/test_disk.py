import errno
from pathlib import Path

import pytest

from graft.disk import room_for, write_whole
from graft.errors import DiskFull


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_its_own_error(code: int) -> None:
    with pytest.raises(DiskFull, match="A checkpoint needs room under GRAFT_HOME"), room_for("A checkpoint"):
        raise OSError(code, "no room")


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(PermissionError), room_for("A checkpoint"):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(path, b"third")
    assert [left.name for left in path.parent.iterdir()] == ["file"]
