"""HTTP/1.1 over a plain socket, for clients that must cost little: a request is bytes that are ready to be sent."""

import asyncio
import time
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request. status: 0 where the connection broke before an answer, None where the client left."""

    began: float  # monotonic seconds
    ended: float
    status: int | None
    retry_after: str | None = None
    body: bytes = b""

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def post(path: str, body: bytes, content_type: str = "image/jpeg", **headers: str) -> bytes:
    """A whole request. headers: names with _ for -."""
    fields = {"Host": HOST, "Content-Type": content_type, "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def form(path: str, picture: bytes) -> bytes:
    """The same with the picture as the part `file` of a form."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return post(path, head + picture + b"\r\n--x--\r\n", "multipart/form-data; boundary=x")


class Connection(asyncio.Protocol):
    """Asks one thing at a time. An answer that came before the connection broke counts, whatever was left to send."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[tuple[int, str | None, bytes]] | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = False

    @classmethod
    async def to(cls, port: int) -> "Connection":
        _, connection = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        return connection

    async def ask(self, request: bytes) -> Answer:
        """Raises ConnectionError where none came."""
        began = time.monotonic()
        if self._transport is None or self._lost:
            raise ConnectionError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        status, retry_after, body = await self._answer
        return Answer(began, time.monotonic(), status, retry_after, body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = bytes(self._received[end + 4 :])
        if len(body) == int(fields["content-length"]) and not self._answer.done():
            self._received.clear()
            self._answer.set_result((int(first.split()[1]), fields.get("retry-after"), body))

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(str(error)))
