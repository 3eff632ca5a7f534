"""The receiving side of kombu's filesystem transport, for a broker that nobody looks after.

Kombu raises on a message that it cannot read, and that ends Celery's consumer. A sender also opens a message under its
final name and then fills it, so a message may be met half written. Here a message is taken only once it can be read;
one that cannot be read SETTLING_SECONDS after its last write is damaged: it is put away and the log says so.
The sending side is kombu's own, and is what the application uses.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import loads

from graft.jobs.doorbell import RING

logger = logging.getLogger(__name__)
SETTLING_SECONDS = 2.0
KEPT_SECONDS = 3600.0


class Channel(filesystem.Channel):  # type: ignore[misc]  # kombu ships no types
    """Messages are files named `SENT_UUID.QUEUE.msg`; a rename into the processed folder takes one."""

    def _get(self, queue: str) -> dict[str, Any]:
        for file in sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg")):
            payload = self._read(file)
            if payload is not None and self._take(file):
                return payload
        raise Empty

    def _read(self, file: Path) -> dict[str, Any] | None:
        """The message, or None: it is gone, still being written, or damaged and now put away."""
        try:
            age = time.time() - file.stat().st_mtime
            return self._parse(file.read_bytes())
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever a decoder makes of damaged bytes
            if age >= SETTLING_SECONDS and self._take(file):
                logger.warning("A damaged message was put away: %s (%r)", file.name, error)
            return None

    def _parse(self, data: bytes) -> dict[str, Any]:
        """A message with all that Celery's consumer will look for. Raises many things for any other bytes."""
        payload: dict[str, Any] = loads(data.decode())
        message = self.Message(payload, channel=self, accept={"application/json"})
        _arguments, keywords, _embedded = message.decode()
        if message.headers["task"] != RING or not isinstance(message.headers["id"], str) or "job_id" not in keywords:
            raise ValueError("no message of a doorbell")
        return payload

    def _take(self, file: Path) -> bool:
        """Move the message away; False when another worker was faster."""
        try:
            file.rename(Path(self.processed_folder) / file.name)
        except FileNotFoundError:
            return False
        return True

    def _queue_bind(self, *_binding: str) -> None:
        """Nothing is routed: a doorbell is put straight into its queue, so there is no table of bindings to damage."""


class Transport(filesystem.Transport):  # type: ignore[misc]
    Channel = Channel


def tend(options: Mapping[str, Any]) -> None:
    """Keep the broker's folders there, and delete the messages that were taken over KEPT_SECONDS ago.

    options: the transport's, as graft.jobs.broker_options makes them.
    """
    for name in ("data_folder_in", "processed_folder"):
        Path(options[name]).mkdir(parents=True, exist_ok=True)
    for file in Path(options["processed_folder"]).glob("*.msg"):
        with suppress(FileNotFoundError):  # another worker tends them, too
            if time.time() - file.stat().st_mtime > KEPT_SECONDS:
                file.unlink()
