from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.delivery import Limits
from pyconvex.delivery.batch import Buffer
from pyconvex.storage import QueueRow

LIMITS = Limits(max_rows=4, max_bytes=50, max_age_s=1.0)


def rows(*sizes: int, start: int = 0) -> list[QueueRow]:
    return [QueueRow(start + n, 0, b"x" * size) for n, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 80), max_size=40), st.integers(1, 9), st.data())
def test_batches_are_the_rows_in_order_within_the_limits(
    sizes: list[int], step: int, data: st.DataObject
) -> None:
    buffer, everything = Buffer(LIMITS), rows(*sizes)
    batches: list[tuple[QueueRow, ...]] = []
    now = 0.0
    for at in range(0, len(everything), step):
        buffer.add(everything[at : at + step], now)
        now += data.draw(st.floats(0.0, 2.0))
        while (batch := buffer.cut(now)) is not None:
            batches.append(batch)
    while (batch := buffer.cut(now + 1.0)) is not None:
        batches.append(batch)
    assert [row for batch in batches for row in batch] == everything
    assert len(buffer) == 0
    for batch in batches:
        assert 1 <= len(batch) <= LIMITS.max_rows
        assert len(batch) == 1 or sum(len(row.body) for row in batch) <= LIMITS.max_bytes


def test_nothing_is_cut_before_it_is_full_or_due() -> None:
    buffer = Buffer(LIMITS)
    assert buffer.due_at is None
    buffer.add(rows(1, 1), 5.0)
    assert buffer.due_at == 6.0
    assert buffer.cut(5.9) is None
    assert buffer.room == (2, 48)
    assert buffer.cut(6.0) == tuple(rows(1, 1))
    assert buffer.due_at is None


def test_the_first_row_alone_says_when_the_rest_leaves() -> None:
    buffer = Buffer(LIMITS)
    buffer.add([], 4.0)
    assert buffer.due_at is None
    assert not buffer.waits(4.0)
    buffer.add(rows(1), 5.0)
    buffer.add(rows(1, start=1), 5.5)
    assert buffer.due_at == 6.0
    assert [buffer.waits(now) for now in (5.0, 5.9, 6.0)] == [True, True, False]
    assert buffer.rows == tuple(rows(1, 1))


def test_a_batch_that_just_reaches_a_limit_is_full_and_whole() -> None:
    for sizes in ((1, 1, 1, 1), (20, 30)):
        buffer = Buffer(LIMITS)
        buffer.add(rows(*sizes[:-1]), 0.0)
        assert not buffer.full
        buffer.add(rows(sizes[-1], start=len(sizes) - 1), 0.0)
        assert buffer.full
        assert buffer.cut(0.0) == tuple(rows(*sizes))


def test_smaller_batches_after_shrinking_and_larger_ones_again() -> None:
    buffer = Buffer(LIMITS)
    buffer.add(rows(*[1] * 12), 0.0)
    buffer.shrink(0)
    sizes = []
    while (batch := buffer.cut(9.0)) is not None:
        sizes.append(len(batch))
        buffer.grow()
    assert sizes == [1, 2, 3, 4, 2]
