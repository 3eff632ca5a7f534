import subprocess
import sys
from pathlib import Path

import pytest

from graft.errors import InvalidInput
from graft.settings import Settings
from tests.worker.workshop import ROOT
from worker.celery_app import create_celery, main


def test_the_worker_never_imports_tensorflow() -> None:
    code = "import sys, worker.celery_app; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("broker_url", [None, "redis://127.0.0.1:6379/11"])
def test_messages_are_json_acknowledged_early_and_never_hoarded(broker_url: str | None, tmp_path: Path) -> None:
    conf = create_celery(Settings(home=tmp_path, broker_url=broker_url)).conf
    assert (conf.task_serializer, conf.accept_content) == ("json", ["json"])
    assert (conf.worker_pool, conf.worker_concurrency, conf.worker_prefetch_multiplier) == ("threads", 1, 1)
    assert not conf.task_acks_late
    assert conf.worker_disable_prefetch == (broker_url is not None)
    assert conf.result_backend is None


def test_an_unknown_queue_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="A queue must be one of datasets, training; received 'trainings'"):
        main(Settings(home=tmp_path), "trainings")


def test_the_program_says_in_a_sentence_what_is_wrong(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "worker.celery_app", "trainings"],
        cwd=ROOT,
        env={"GRAFT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("A queue must be one of")
