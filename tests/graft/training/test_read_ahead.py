import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.training.read_ahead import DEPTH, read_ahead


def reading_threads() -> int:
    return sum(thread.name.startswith("read-ahead") for thread in threading.enumerate())


@given(st.lists(st.integers()))
def test_what_is_read_comes_in_order(keys: list[int]) -> None:
    with read_ahead(lambda key: 2 * key, keys) as rows:
        assert list(rows) == [2 * key for key in keys]
    assert reading_threads() == 0


def test_the_next_ones_are_read_while_one_is_worked_on_and_no_more() -> None:
    read: list[int] = []
    reached = threading.Event()

    def of(key: int) -> int:
        read.append(key)
        if key == DEPTH:
            reached.set()
        return key

    with read_ahead(of, range(100)) as rows:
        assert next(rows) == 0
        assert reached.wait(60), "nothing is read ahead"
    assert read == list(range(1 + DEPTH))


def test_an_error_comes_out_where_its_rows_would() -> None:
    def of(key: int) -> int:
        if key == 3:
            raise OSError("the disk is gone")
        return key

    taken: list[int] = []
    with pytest.raises(OSError, match="the disk is gone"), read_ahead(of, range(10)) as rows:
        taken.extend(rows)
    assert reading_threads() == 0


@pytest.mark.parametrize("leave", [lambda: None, lambda: 1 / 0], ids=["stop", "error"])
def test_leaving_early_begins_no_other_read_and_leaves_no_thread(leave: Callable[[], object]) -> None:
    read: list[int] = []
    try:
        with read_ahead(lambda key: read.append(key), range(10_000)) as rows:
            next(rows)
            leave()
    except ZeroDivisionError:
        pass
    assert reading_threads() == 0
    assert len(read) <= 1 + DEPTH
