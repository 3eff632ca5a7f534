"""Both senders of the doorbell: the application's, and the worker's."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from app.doorbell import CeleryDoorbell as AppDoorbell
from graft.jobs import Doorbell, broker_options
from graft.jobs.doorbell import TaskDoorbell
from tests.worker.workshop import Workshop


def of_the_application(broker_url: str | None, home: Path) -> Doorbell:
    return AppDoorbell(broker_options(broker_url, home))


def of_the_worker(broker_url: str | None, home: Path) -> Doorbell:
    app = Celery(set_as_current=False)
    app.conf.update(broker_options(broker_url, home))
    return TaskDoorbell(app.send_task)


MAKERS: list[Callable[[str | None, Path], Doorbell]] = [of_the_application, of_the_worker]


@pytest.fixture
def nobodys_port() -> Iterator[int]:
    """Bound but not listening, so that connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("make", MAKERS)
def test_a_ring_is_one_message_that_a_worker_understands(
    workshop: Workshop, make: Callable[[str | None, Path], Doorbell]
) -> None:
    make(workshop.broker_url, workshop.home).ring("training", "job_1")
    assert workshop.messages() == 1
    with workshop.app.connection_for_read() as connection, connection.SimpleQueue("training") as queue:
        message = queue.get(timeout=10)
        assert message.headers["task"] == "graft.ring"
        assert message.decode()[1] == {"job_id": "job_1"}
        message.ack()


@pytest.mark.parametrize("make", MAKERS)
def test_a_broker_that_is_down_is_logged_and_no_error(
    make: Callable[[str | None, Path], Doorbell], nobodys_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(f"redis://127.0.0.1:{nobodys_port}", tmp_path).ring("training", "job_1")
    assert "The broker does not answer, so job_1 waits" in caplog.text


@pytest.mark.parametrize("make", MAKERS)
def test_a_broker_that_hangs_is_given_up(
    make: Callable[[str | None, Path], Doorbell], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes connections and says nothing, as a stopped process does. Without an end, this test has none either."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        make(f"redis://127.0.0.1:{silent.getsockname()[1]}", tmp_path).ring("training", "job_1")
    assert "The broker does not answer, so job_1 waits" in caplog.text


@pytest.mark.parametrize("make", MAKERS)
def test_a_broker_folder_that_was_deleted_is_logged_and_no_error(
    make: Callable[[str | None, Path], Doorbell], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bell = make(None, tmp_path)
    (tmp_path / "broker" / "data").rmdir()
    bell.ring("training", "job_1")
    assert "The broker does not answer, so job_1 waits" in caplog.text


def test_the_folders_of_the_embedded_broker_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = broker_options(None, Path("home"))["broker_transport_options"]
    folders = [Path(value) for name, value in options.items() if name.endswith(("_in", "_out", "_folder"))]
    assert len(folders) == 4
    assert all(folder.is_absolute() and folder.is_dir() for folder in folders)
