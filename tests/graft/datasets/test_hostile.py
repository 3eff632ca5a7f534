import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.graft.datasets.attacks import ATTACKS
from tests.graft.datasets.attacks.child import MAX_BYTES

ROOT = Path(__file__).parents[3]


def request(case: str, folder: Path) -> str:
    """What the child is told of an attack, whose archive is put into the folder."""
    sent = ATTACKS[case].send()
    if not isinstance(sent, bytes):
        return json.dumps(["", [(name, content.hex()) for name, content in sent]])
    (folder / "archive").write_bytes(sent)
    return json.dumps(["archive", []])


@pytest.mark.timeout(120)
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_every_attack_is_refused_by_its_rule_at_a_small_price(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one child process, as the API would be: it lives on, in bounded memory, and leaves nothing behind."""
    wrong, costs = [], {}
    command = [sys.executable, "-m", "tests.graft.datasets.attacks.child", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout
        for case, attack in ATTACKS.items():
            child.stdin.write(request(case, tmp_path) + "\n")
            child.stdin.flush()
            error, message, seconds, size = json.loads(child.stdout.readline() or '["died", "", 0, 0]')
            costs[case] = (size, seconds)
            if error != attack.error.__name__ or attack.says not in message:
                wrong.append((case, error, message))
            if [*(tmp_path / "datasets").iterdir()] != [tmp_path / "datasets" / ".staging"]:
                wrong.append((case, "wrote", "beside its folder"))
            if [*(tmp_path / "datasets" / ".staging").iterdir()]:
                wrong.append((case, "left", "something behind"))
        child.stdin.close()
    assert wrong == []
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "datasets"}
    assert {case: size for case, (size, _) in costs.items() if size > MAX_BYTES} == {}
    with capsys.disabled():
        largest, longest = (max(cost[i] for cost in costs.values()) for i in (0, 1))
        print(f"\nhostile uploads: {len(costs)} refused, most memory {largest >> 20} MB, most time {longest:.1f} s")
