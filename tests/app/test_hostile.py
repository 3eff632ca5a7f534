from collections.abc import Sequence
from pathlib import Path

import pytest

from graft.errors import InvalidInput, NotAnArchive, TooLarge
from tests.app.conftest import StartClient
from tests.graft.datasets.attacks import ATTACKS, LIMITS

STATUS = {InvalidInput: 400, NotAnArchive: 415, TooLarge: 413}
FORM = "multipart/form-data; boundary=edge"
BODY = 2**20  # larger attacks are left to the library's test


def form(files: Sequence[tuple[str, bytes]]) -> bytes:
    """As curl and browsers write names, whatever is in them."""
    parts = (
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n'
        % (name.replace("\n", "%0A").encode(), content)
        for name, content in files
    )
    return b"".join(parts) + b"--edge--\r\n"


def test_every_attack_is_answered_with_its_rule(
    start: StartClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = start(archive_bytes=LIMITS.bytes, archive_data_bytes=LIMITS.data_bytes)
    wrong: list[tuple[object, ...]] = []
    sent = 0
    for case, attack in ATTACKS.items():
        content = attack.send()
        body, kind = (content, "application/zip") if isinstance(content, bytes) else (form(content), FORM)
        if not 0 < len(body) <= BODY:  # an empty body is refused as such
            continue
        sent += 1
        answer = client.post("/api/v1/datasets", content=body, headers={"Content-Type": kind})
        problem = answer.json()
        said = (answer.status_code, answer.headers["content-type"], problem.get("detail", ""))
        if said[:2] != (STATUS[attack.error], "application/problem+json") or attack.says not in said[2]:
            wrong.append((case, said))
        if [*(tmp_path / "home" / "datasets").iterdir()] != [tmp_path / "home" / "datasets" / ".staging"]:
            wrong.append((case, "wrote beside its folder"))
        if [*(tmp_path / "home" / "datasets" / ".staging").iterdir()]:
            wrong.append((case, "left something behind"))
    assert wrong == []
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
    assert client.get("/api/v1/datasets").json()["data"] == []
    with capsys.disabled():
        print(f"\nhostile uploads over HTTP: {sent} refused")
