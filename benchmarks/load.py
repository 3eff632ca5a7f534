"""Clients, many in one event loop of the process that calls: some ask when they are answered, some whenever they like.

The figures of a load come from its middle, when as many ask as shall.
"""

import asyncio
import http.client
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

from benchmarks.wire import HOST, Answer, Connection

OK = 200


@dataclass(frozen=True)
class Load:
    """What clients were answered. began, ended: the window that counts, well inside of their asking."""

    answers: Sequence[Answer]
    began: float
    ended: float
    client: float  # the share of one core that the clients used

    @property
    def rate(self) -> float:
        """Answers a second. One that was awaited in part before or after the window counts in part."""
        shares = ((min(a.ended, self.ended) - max(a.began, self.began)) / a.seconds for a in self.answers)
        return sum(share for share in shares if share > 0) / (self.ended - self.began)

    @property
    def seconds(self) -> list[float]:
        """How long each took that was asked in the window."""
        return [a.seconds for a in self.answers if self.began <= a.began < self.ended]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        return percentile(self.seconds, 0.95)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def ask(port: int, request: bytes) -> Answer:
    """One client, once. Raises RuntimeError for any answer but 200, ConnectionError for none."""

    async def run() -> Answer:
        connection = await Connection.to(port)
        try:
            return _good(await connection.ask(request))
        finally:
            connection.close()

    return asyncio.run(run())


def closed_loop(port: int, requests: Iterator[bytes], clients: int, seconds: float) -> Load:
    """Each client keeps its connection, and asks again as soon as it is answered.

    The window of so many seconds begins when there are twice as many answers as clients. Raises a group with
    RuntimeError for any answer but 200, with ConnectionError for none.
    """
    answers: list[Answer] = []

    def window() -> tuple[float, float]:
        begin = answers[2 * clients - 1].ended if len(answers) >= 2 * clients else math.inf
        return begin, begin + seconds

    async def client() -> None:
        connection = await Connection.to(port)
        while time.monotonic() < window()[1]:
            answers.append(_good(await connection.ask(next(requests))))
        connection.close()

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())

    used, started = time.process_time(), time.monotonic()
    asyncio.run(run())
    return Load(answers, *window(), (time.process_time() - used) / (time.monotonic() - started))


def open_loop(
    port: int, requests: Iterator[bytes], gaps: Iterator[float], seconds: float, patience: Callable[[], float | None]
) -> list[Answer]:
    """A new client after each gap, on a connection of its own, however many wait; answers in the order of asking.

    patience: seconds until the next client leaves; None: it waits for its answer.
    """

    async def client() -> Answer:
        began, connection = time.monotonic(), None
        try:
            async with asyncio.timeout(patience()):
                connection = await Connection.to(port)
                return replace(await connection.ask(next(requests)), began=began)
        except (TimeoutError, ConnectionError) as error:
            return Answer(began, time.monotonic(), None if isinstance(error, TimeoutError) else 0)
        finally:
            if connection is not None:
                connection.close()

    async def run() -> list[Answer]:
        loop = asyncio.get_running_loop()
        at = start = loop.time()
        asking = []
        while at < start + seconds:
            await asyncio.sleep(at - loop.time())
            asking.append(asyncio.create_task(client()))
            at += next(gaps)
        return await asyncio.gather(*asking)

    return asyncio.run(run())


def _good(answer: Answer) -> Answer:
    if answer.status != OK:
        raise RuntimeError(f"every answer must be {OK}; received {answer}")
    return answer


class Probes:
    """GETs of one path from a process of its own, so many over so many seconds."""

    def __init__(self, port: int, path: str, count: int, seconds: float) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self._seconds = self._pool.submit(probe, port, path, count, seconds / count)

    def seconds(self) -> list[float]:
        """How long each took, once all are done."""
        with self._pool:
            return self._seconds.result()


def probe(port: int, path: str, count: int, gap: float) -> list[float]:
    """Seconds of each GET, one at a time on one connection. Raises RuntimeError for any answer but 200."""
    connection = http.client.HTTPConnection(HOST, port)
    waits, start = [], time.monotonic()
    for i in range(count):
        time.sleep(max(start + gap * i - time.monotonic(), 0))
        asked = time.monotonic()
        connection.request("GET", path)
        with connection.getresponse() as answer:
            answer.read()
        waits.append(time.monotonic() - asked)
        if answer.status != OK:
            raise RuntimeError(f"{path} must answer {OK}; received {answer.status}")
    connection.close()
    return waits
