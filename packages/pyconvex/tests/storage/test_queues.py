import pytest

from pyconvex.storage import (
    START,
    Appended,
    Position,
    Proposal,
    QueueAppend,
    QueueBounds,
    QueueStats,
)


def rows(store, queue=1, after=START, limit=1000, up_to_ts=None):
    reader = store.reader()
    ts = reader.begin().ts
    found = reader.queue_rows(queue, after, limit=limit, up_to_ts=up_to_ts or ts)
    assert reader.queue_stats(queue) == store.queue_stats(queue)
    reader.close()
    return found


def append(*bodies: bytes, queue=1) -> Proposal:
    return Proposal(0, b"", appends=tuple(QueueAppend(queue, body) for body in bodies))


def test_rows_come_in_commit_order_and_only_up_to_a_timestamp(open_store):
    store = open_store()
    first, second, third = store.append([append(b"a", b"b"), append(b"c", queue=2), append(b"d")])
    assert [(r.ts, r.seq, r.body) for r in rows(store)] == [
        (first.ts, 0, b"a"),
        (first.ts, 1, b"b"),
        (third.ts, 0, b"d"),
    ]
    assert [r.body for r in rows(store, up_to_ts=second.ts)] == [b"a", b"b"]
    assert [r.body for r in rows(store, after=Position(first.ts, 0))] == [b"b", b"d"]
    assert [r.body for r in rows(store, limit=1)] == [b"a"]
    assert [r.body for r in rows(store, queue=2)] == [b"c"]


def test_acknowledging_deletes_up_to_a_position_and_outlives_a_restart(open_store):
    store = open_store()
    first, _ = store.append([append(b"a", b"bb"), append(b"c")])
    ts = store.acknowledge(1, Position(first.ts, 0))
    store.wait_durable_blocking(ts, timeout_s=10)
    assert [r.body for r in rows(store)] == [b"bb", b"c"]
    store.close()
    store = open_store()
    assert [r.body for r in rows(store)] == [b"bb", b"c"]
    stats = store.queue_stats(1)
    assert stats == QueueStats(2, 3, first.ts, appended=3, acknowledged=1)
    store.acknowledge(1, Position(store.visible_ts, 0))
    assert rows(store) == []
    assert store.queue_stats(1).oldest_ts is None


@pytest.mark.parametrize(
    "bounds", [QueueBounds(max_rows=2), QueueBounds(max_bytes=8)], ids=["rows", "bytes"]
)
def test_a_full_queue_drops_and_counts_but_never_fails_a_mutation(open_store, insert, bounds):
    store = open_store(bounds=bounds)
    outcomes = store.append([append(b"aaaa"), append(b"bbbb", b"cccc"), insert("d", queue=b"dddd")])
    assert [outcome.dropped_rows for outcome in outcomes] == [0, 1, 1]
    assert all(isinstance(outcome, Appended) for outcome in outcomes)
    assert [r.body for r in rows(store)] == [b"aaaa", b"bbbb"]
    stats = store.queue_stats(1)
    assert (stats.rows, stats.dropped) == (2, 2)
    store.acknowledge(1, Position(outcomes[0].ts, 0))
    store.append([append(b"eeee")])
    assert [r.body for r in rows(store)] == [b"bbbb", b"eeee"]


def test_a_queue_whose_oldest_row_is_too_old_is_full(open_store):
    now = [1_000]
    store = open_store(clock_ns=lambda: now[0], bounds=QueueBounds(max_age_ns=100))
    store.append([append(b"old")])
    now[0] += 101
    [late] = store.append([append(b"new")])
    assert late.dropped_rows == 1
    store.acknowledge(1, Position(1_000, 0))
    now[0] += 1
    [later] = store.append([append(b"newer")])
    assert later.dropped_rows == 0


def test_a_poison_row_is_set_aside_with_its_reason(open_store):
    store = open_store(bounds=QueueBounds(max_set_aside_rows=2))
    outcomes = store.append([append(b"%d" % n) for n in range(4)])
    for number in (0, 1, 3):
        position = Position(outcomes[number].ts, 0)
        store.set_aside(1, position, f"refused {number}")
        store.set_aside(1, position, "again, which does nothing")
    assert [r.body for r in rows(store)] == [b"2"]
    assert store.queue_stats(1) == QueueStats(1, 1, outcomes[2].ts, appended=4, set_aside=3)
    reader = store.reader()
    reader.begin()
    kept = [(row.body, row.reason) for row in reader.set_aside_rows(1, limit=10)]
    assert kept == [(b"3", "refused 3"), (b"1", "refused 1")]
    reader.close()


def aside(store, queue=1):
    """What is set aside, oldest first: position and body."""
    reader = store.reader()
    reader.begin()
    found = [
        (Position(row.ts, row.seq), row.body) for row in reader.set_aside_rows(queue, limit=1000)
    ]
    assert [position for position, _ in found[::-1]] == [
        position for position, _ in reader.set_aside_places(queue)
    ]
    assert reader.count_set_aside(queue) == len(found)
    reader.close()
    return found[::-1]


def refuse(store, outcome, reason="400: no"):
    store.set_aside(1, Position(outcome.ts, 0), reason)


def test_rows_that_are_put_back_stand_at_the_end_in_their_order_as_they_were(open_store):
    store = open_store()
    first, second, third, _ = store.append([append(body) for body in (b"a", b"b", b"c", b"d")])
    for outcome in (first, second, third):
        refuse(store, outcome)
    chosen = [Position(third.ts, 0), Position(first.ts, 0)]
    ts, moved, left = store.put_back(1, [*chosen, Position(5, 5)])
    assert (moved, left) == (2, 0)
    assert [(row.ts, row.body) for row in rows(store)][1:] == [(ts, b"a"), (ts, b"c")]
    assert [body for _, body in aside(store)] == [b"b"]
    assert store.put_back(1, chosen)[1:] == (0, 0), "once"
    stats = store.queue_stats(1)
    assert (stats.rows, stats.bytes, stats.appended, stats.set_aside) == (3, 3, 4, 1)
    # A lane that had read up to "d" acknowledges that, and finds those that came back behind it.
    read_through = rows(store)[0].position
    store.acknowledge(1, read_through)
    assert [row.body for row in rows(store, after=read_through)] == [b"a", b"c"]


def test_a_full_queue_takes_back_what_fits_and_never_out_of_order(open_store):
    store = open_store(bounds=QueueBounds(max_bytes=5))
    outcomes = []
    for body in (b"one", b"three", b"4"):
        outcomes += store.append([append(body)])
        refuse(store, outcomes[-1])
    places = [position for position, _ in aside(store)]
    assert store.put_back(1, places)[1:] == (1, 2)
    assert [row.body for row in rows(store)] == [b"one"]
    assert [body for _, body in aside(store)] == [b"three", b"4"]


def test_a_row_that_is_discarded_is_gone_for_good(open_store):
    store = open_store()
    first, second = store.append([append(b"a"), append(b"b")])
    for outcome in (first, second):
        refuse(store, outcome)
    place = Position(first.ts, 0)
    assert store.discard(1, [place, place])[1] == 1
    store.close()
    store = open_store()
    assert [body for _, body in aside(store)] == [b"b"]
    assert rows(store) == []


def test_rows_that_are_set_aside_are_read_page_by_page(open_store):
    store = open_store()
    for outcome in store.append([append(b"%d" % n) for n in range(5)]):
        refuse(store, outcome)
    reader = store.reader()
    reader.begin()
    newest = reader.set_aside_rows(1, limit=2)
    older = reader.set_aside_rows(1, Position(newest[-1].ts, newest[-1].seq), limit=9)
    assert [row.body for row in (*newest, *older)] == [b"4", b"3", b"2", b"1", b"0"]
    reader.close()
