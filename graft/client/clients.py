"""The two clients: each method is a call or a flow, bound to a session over one wire or the other."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from inspect import Parameter, signature
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, get_args

import httpx

from graft.client import calls, flows
from graft.client.request import Call
from graft.client.session import Session
from graft.client.wires import AsyncWire, BlockingWire, iterate, options, run

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])

DEFAULT_URL = "http://127.0.0.1:8000"
PATIENCE = 10.0


def _call(make: Callable[P, Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    @wraps(make)
    def method(self: "Client", /, *args: P.args, **options: P.kwargs) -> T:
        return run(self.session.ask(make(*args, **options)))

    return _signed(method, make)


def _flow(
    flow: Callable[Concatenate[Session, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[Client, P], T]":
    @wraps(flow)
    def method(self: "Client", /, *args: P.args, **options: P.kwargs) -> T:
        return run(flow(self.session, *args, **options))

    return method


def _items(
    flow: Callable[Concatenate[Session, P], AsyncIterator[T]],
) -> "Callable[Concatenate[Client, P], Iterator[T]]":
    @wraps(flow)
    def method(self: "Client", /, *args: P.args, **options: P.kwargs) -> Iterator[T]:
        return iterate(flow(self.session, *args, **options))

    return method


def _async_call(make: Callable[P, Call[T]]) -> "Callable[Concatenate[AsyncClient, P], Awaitable[T]]":
    @wraps(make)
    async def method(self: "AsyncClient", /, *args: P.args, **options: P.kwargs) -> T:
        return await self.session.ask(make(*args, **options))

    return _signed(method, make)


def _async_flow(
    flow: Callable[Concatenate[Session, P], T],
) -> "Callable[Concatenate[AsyncClient, P], T]":
    """A coroutine or an asynchronous iterator, as the flow is."""

    @wraps(flow)
    def method(self: "AsyncClient", /, *args: P.args, **options: P.kwargs) -> T:
        return flow(self.session, *args, **options)

    return method


def _signed(method: M, make: Callable[..., Call[Any]]) -> M:
    """With the signature that help() shows: the call's own, on an object, and what its answer becomes."""
    shown = signature(make)
    (answer,) = get_args(shown.return_annotation)
    me = Parameter("self", Parameter.POSITIONAL_ONLY)
    parameters = [me, *shown.parameters.values()]
    method.__signature__ = shown.replace(parameters=parameters, return_annotation=answer)  # type: ignore[attr-defined]
    return method


class Client:
    """Graft over HTTP. Use it in a `with` block, or `close` it.

    url: where the service listens; key: an API key, where it asks for one; patience: the most seconds that one call
    spends waiting for another try, where the service says "not now" or does not answer; transport: httpx's, for tests
    and special networks. Every method raises ApiError for what the service refuses, Unreachable where it does not
    answer, and InvalidInput for what is wrong with the arguments themselves.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        patience: float = PATIENCE,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.session = Session(BlockingWire(httpx.Client(**options(url, key), transport=transport)), patience=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        run(self.session.wire.close())

    def ask(self, call: Call[T]) -> T:
        """Any of graft.client.calls."""
        return run(self.session.ask(call))

    upload = _call(calls.upload)
    open_dataset = _call(calls.open_dataset)
    add_files = _call(calls.add_files)
    commit = _call(calls.commit)
    dataset = _call(calls.dataset)
    datasets = _items(flows.datasets)
    delete_dataset = _call(calls.delete_dataset)
    wait_dataset = _flow(flows.wait_dataset)

    plan = _call(calls.plan)
    train = _call(calls.train)
    fine_tune = _call(calls.fine_tune)
    job = _call(calls.job)
    jobs = _items(flows.jobs)
    cancel = _call(calls.cancel)
    events = _call(calls.events)
    watch = _items(flows.watch)
    wait = _flow(flows.wait)

    predict = _flow(flows.predict)
    predict_many = _call(calls.predict_many)
    embed = _flow(flows.embed)

    model = _call(calls.model)
    models = _items(flows.models)
    delete_model = _call(calls.delete_model)
    set_alias = _call(calls.set_alias)
    delete_alias = _call(calls.delete_alias)
    report = _call(calls.report)


class AsyncClient:
    """The same for an event loop: methods are awaited, lists and `watch` are iterated with `async for`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        patience: float = PATIENCE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.session = Session(
            AsyncWire(httpx.AsyncClient(**options(url, key), transport=transport)), patience=patience
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self.session.wire.close()

    async def ask(self, call: Call[T]) -> T:
        """Any of graft.client.calls."""
        return await self.session.ask(call)

    upload = _async_call(calls.upload)
    open_dataset = _async_call(calls.open_dataset)
    add_files = _async_call(calls.add_files)
    commit = _async_call(calls.commit)
    dataset = _async_call(calls.dataset)
    datasets = _async_flow(flows.datasets)
    delete_dataset = _async_call(calls.delete_dataset)
    wait_dataset = _async_flow(flows.wait_dataset)

    plan = _async_call(calls.plan)
    train = _async_call(calls.train)
    fine_tune = _async_call(calls.fine_tune)
    job = _async_call(calls.job)
    jobs = _async_flow(flows.jobs)
    cancel = _async_call(calls.cancel)
    events = _async_call(calls.events)
    watch = _async_flow(flows.watch)
    wait = _async_flow(flows.wait)

    predict = _async_flow(flows.predict)
    predict_many = _async_call(calls.predict_many)
    embed = _async_flow(flows.embed)

    model = _async_call(calls.model)
    models = _async_flow(flows.models)
    delete_model = _async_call(calls.delete_model)
    set_alias = _async_call(calls.set_alias)
    delete_alias = _async_call(calls.delete_alias)
    report = _async_call(calls.report)
