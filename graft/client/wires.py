"""How a call travels: httpx with an event loop, or without one. Everything above is written once, as coroutines.

The blocking wire's coroutines never suspend, so `run` gets from their first step to their end at once.
"""

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread
import httpcore
import httpx

from graft.client.request import Call
from graft.errors import InvalidInput

T = TypeVar("T")
Headers = Mapping[str, str]


class Wire(Protocol):
    """Sends calls. Raises httpx.TransportError where nothing answers, or not to the end."""

    async def send(self, call: Call[Any], headers: Headers) -> httpx.Response:
        """The answer, read to its end."""

    def stream(self, call: Call[Any], headers: Headers) -> AbstractAsyncContextManager["Stream"]:
        """The answer's head, and its bytes as they come."""

    async def pause(self, seconds: float) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Stream:
    """An answer whose body is still to come."""

    head: httpx.Response
    pieces: AsyncIterator[bytes]


class AsyncWire:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def send(self, call: Call[Any], headers: Headers) -> httpx.Response:
        return await self._http.send(self._request(call, headers))

    @asynccontextmanager
    async def stream(self, call: Call[Any], headers: Headers) -> AsyncIterator[Stream]:
        answer = await self._http.send(self._request(call, headers), stream=True)
        try:
            yield Stream(answer, answer.aiter_bytes())
        finally:
            await answer.aclose()

    async def pause(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def close(self) -> None:
        await self._http.aclose()

    def _request(self, call: Call[Any], headers: Headers) -> httpx.Request:
        return _request(self._http.build_request, call, headers, _in_threads(call) if call.body else None)


class BlockingWire:
    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    async def send(self, call: Call[Any], headers: Headers) -> httpx.Response:
        return self._http.send(self._request(call, headers))

    @asynccontextmanager
    async def stream(self, call: Call[Any], headers: Headers) -> AsyncIterator[Stream]:
        answer = self._http.send(self._request(call, headers), stream=True)
        try:
            yield Stream(answer, _as_async(answer.iter_bytes()))
        finally:
            answer.close()

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    async def close(self) -> None:
        self._http.close()

    def _request(self, call: Call[Any], headers: Headers) -> httpx.Request:
        if call.body is None:
            return _request(self._http.build_request, call, headers, None)
        early = _EarlyAnswer()
        content = early.stopping(_counted(call))
        return _request(self._http.build_request, call, headers, content, {"trace": early.watch})


class _EarlyAnswer:
    """Stops an upload that the service has answered already: a refusal need not wait for gigabytes.

    Over plain HTTP and on a connection of its own; elsewhere the answer is read when all has been sent.
    """

    def __init__(self) -> None:
        self._connection: httpcore.NetworkStream | None = None

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """For httpcore's extension `trace`."""
        if event == "connection.connect_tcp.complete":
            self._connection = info["return_value"]
        elif event == "connection.start_tls.started":  # TLS has messages of its own
            self._connection = None

    def stopping(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self._connection and self._connection.get_extra_info("is_readable"):
                # What httpcore takes as the end of sending, to read the answer next.
                raise httpcore.WriteError("answered before all was sent")
            yield piece


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine over a BlockingWire."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a coroutine over a BlockingWire has suspended")


def iterate(items: AsyncIterator[T]) -> Iterator[T]:
    """The items of an asynchronous generator over a BlockingWire, which is closed when nobody wants more."""
    try:
        while True:
            try:
                yield run(_next(items))
            except StopAsyncIteration:
                return
    finally:
        run(_close(items))


def options(url: str, key: str | None) -> dict[str, Any]:
    """What both kinds of httpx client are made with. Raises InvalidInput for what is no address."""
    headers = {"X-API-Key": key.encode()} if key else {}
    timeout = httpx.Timeout(60.0, connect=5.0)
    # A proxy that the environment names is not asked for this machine's own service.
    return {"base_url": f"{url.rstrip('/')}/api/v1", "headers": headers, "timeout": timeout, "trust_env": not _own(url)}


def _own(url: str) -> bool:
    """Whether the address is this machine's."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise InvalidInput(f"An address begins with http:// or https://; received {url}.")
    try:
        return ip_address(address.host).is_loopback
    except ValueError:
        return address.host == "localhost"


def _request(
    build: Callable[..., httpx.Request],
    call: Call[Any],
    headers: Headers,
    content: Any,
    extensions: Mapping[str, Any] | None = None,
) -> httpx.Request:
    sent = {"Accept": call.accept, **call.headers(), **headers}
    if call.body:
        sent |= {"Content-Type": call.body.media_type, "Content-Length": str(call.body.size)}
    return build(
        call.method,
        call.path,
        params=call.query or None,
        json=call.json,
        content=content,
        files=[("file", (picture.name, picture.data)) for picture in call.pictures] or None,
        headers=sent,
        timeout=httpx.Timeout(call.timeout + (call.deadline or 0), connect=5.0),
        extensions=dict(extensions or {}),
    )


def _counted(call: Call[Any]) -> Iterator[bytes]:
    """The body's pieces; each is reported when it has been taken."""
    if call.body is None:
        return
    sent, size = 0, call.body.size
    for piece in call.body.pieces():
        yield piece
        sent += len(piece)
        if call.on_progress:
            call.on_progress(sent, size)


async def _in_threads(call: Call[Any]) -> AsyncIterator[bytes]:
    """The same, read from disk away from the event loop."""
    pieces = _counted(call)
    while piece := await anyio.to_thread.run_sync(next, pieces, b""):
        yield piece


async def _as_async(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


async def _close(items: Any) -> None:
    await items.aclose()
