"""A key belongs to the first request that came with it, whoever looks."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from graft.database import connect, migrate
from graft.errors import InvalidFields
from graft.idempotency import IdempotencyKeys

KEY, OTHER_KEY = "a" * 64, "b" * 64
ONE, ANOTHER = "1" * 64, "2" * 64


@pytest.fixture
def processes(database_url: str) -> Iterator[list[IdempotencyKeys]]:
    """The store as four processes have it: each with connections of its own."""
    engines = [connect(database_url) for _ in range(4)]
    migrate(engines[0])
    yield [IdempotencyKeys(engine) for engine in engines]
    for engine in engines:
        engine.dispose()


def test_a_key_is_refused_to_another_request(processes: list[IdempotencyKeys]) -> None:
    processes[0].claim(KEY, ONE)
    for keys in processes:
        keys.claim(KEY, ONE)
        with pytest.raises(InvalidFields, match="belongs to one request"):
            keys.claim(KEY, ANOTHER)
    processes[0].claim(OTHER_KEY, ANOTHER)


def test_of_different_requests_at_the_same_moment_one_gets_the_key(processes: list[IdempotencyKeys]) -> None:
    def claims(keys: IdempotencyKeys, digest: str, fingerprint: str, start: Barrier) -> bool:
        start.wait()
        try:
            keys.claim(digest, fingerprint)
        except InvalidFields:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for turn in range(20):
            start = Barrier(4)
            digest = f"{turn:064x}"
            claimed = [
                pool.submit(claims, keys, digest, fingerprint, start)
                for keys, fingerprint in zip(processes, (ONE, ONE, ANOTHER, ANOTHER), strict=True)
            ]
            first, second, third, fourth = (each.result() for each in claimed)
            assert first == second != third == fourth
