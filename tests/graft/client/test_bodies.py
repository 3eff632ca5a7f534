"""What an upload sends: the archive's own bytes, or a tar of the folder, made while it is read."""

import io
import tarfile
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.client.bodies import Archive, Folder, open_body
from graft.errors import InvalidInput
from tests.drawing import write

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1, max_size=60)
TREES = st.dictionaries(
    st.tuples(NAMES, NAMES).filter(lambda names: not any(n.startswith(".") for n in names)),
    st.binary(max_size=1500),
    min_size=1,
    max_size=5,
)


def unpacked(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return {member.name: file.read() for member in archive if (file := archive.extractfile(member))}


@given(TREES)
def test_a_folder_is_sent_as_a_tar_that_holds_every_file(tree: dict[tuple[str, str], bytes]) -> None:
    files = {f"{folder}/{name}": data for (folder, name), data in tree.items() if len(f"{folder}{name}".encode()) < 250}
    if not files:
        return
    with TemporaryDirectory() as temporary:
        body = Folder.at(write(Path(temporary), files))
        sent = b"".join(body.pieces())
        assert unpacked(sent) == files
        assert len(sent) == body.size
        assert b"".join(body.pieces()) == sent  # for another try, under the same Idempotency-Key


def test_hidden_files_and_links_that_lead_out_stay_behind(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"secret.jpg": b"secret"})
    root = write(tmp_path / "set", {"a/1.jpg": b"1", "a/.hidden": b"", ".git/config": b"", "Thumbs/x": b"x"})
    (root / "a" / "out.jpg").symlink_to(outside / "secret.jpg")
    (root / "a" / "in.jpg").symlink_to(root / "a" / "1.jpg")
    (root / "b").symlink_to(outside)
    (root / "c").symlink_to(root)  # a circle
    (root / "gone.jpg").symlink_to(tmp_path / "nothing")
    body = Folder.at(root)
    assert unpacked(b"".join(body.pieces())) == {"a/1.jpg": b"1", "a/in.jpg": b"1", "Thumbs/x": b"x"}
    assert body.left_out == ("a/out.jpg", "b", "c", "gone.jpg")


def test_a_large_file_passes_through_in_pieces(tmp_path: Path) -> None:
    large = tmp_path / "set" / "large.jpg"
    large.parent.mkdir()
    with large.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    tracemalloc.start()
    size = sum(map(len, Folder.at(large.parent).pieces()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 50 * 1024 * 1024 + 3 * 512
    assert peak < 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "media_type", "stem"),
    [
        ("a.zip", "application/zip", "a"),
        ("a.b.tar.gz", "application/gzip", "a.b"),
        ("a.TGZ", "application/gzip", "a"),
        ("a.tar", "application/x-tar", "a"),
    ],
)
def test_an_archive_is_sent_as_it_is(tmp_path: Path, name: str, media_type: str, stem: str) -> None:
    (tmp_path / name).write_bytes(b"bytes" * 100_000)
    body = open_body(tmp_path / name)
    assert (body.media_type, body.name, body.size) == (media_type, stem, 500_000)
    assert b"".join(body.pieces()) == b"bytes" * 100_000


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing", "there is none at"),
        ("notes.txt", "(.tar, .tar.gz, .tgz, .zip); received"),
        ("empty.zip", "has no bytes"),
        ("bare", "files that are not hidden"),
    ],
)
def test_what_cannot_be_uploaded_is_said_before_anything_is_sent(tmp_path: Path, name: str, sentence: str) -> None:
    write(tmp_path, {"notes.txt": b"text", "empty.zip": b"", "bare/.hidden/x": b"x"})
    with pytest.raises(InvalidInput) as error:
        open_body(tmp_path / name)
    assert sentence in str(error.value)


def test_a_file_that_shrinks_or_goes_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    root = write(tmp_path / "set", {"a/1.jpg": b"12345", "b/2.jpg": b"1"})
    body = Folder.at(root)
    (root / "a" / "1.jpg").write_bytes(b"1")
    with pytest.raises(InvalidInput, match=r"1\.jpg has become shorter"):
        list(body.pieces())
    (root / "a" / "1.jpg").write_bytes(b"12345")
    (root / "b" / "2.jpg").unlink()
    with pytest.raises(InvalidInput, match=r"2\.jpg is gone"):
        list(body.pieces())
    archive = Archive.at(write(tmp_path, {"a.zip": b"12345"}) / "a.zip")
    archive.path.write_bytes(b"1")
    with pytest.raises(InvalidInput, match="shorter"):
        list(archive.pieces())
