import os
import traceback

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyconvex.storage import DocumentWrite, Position, Proposal, Reader, StorageFailure
from pyconvex.storage.model import FIRST_DATA_TABLET

TABLET = FIRST_DATA_TABLET
keys = st.binary(max_size=3)


def test_a_snapshot_does_not_move(open_store, insert, contents):
    store = open_store()
    store.append([insert("a")])
    reader = store.reader()
    head = reader.begin()
    store.append([insert("b")])
    assert [r[0] for r in reader.scan(TABLET + 1, b"", None, descending=False, limit=9)] == [b"a"]
    assert reader.head == head
    reader.end()
    assert reader.begin().ts == store.visible_ts > head.ts
    assert len(reader.scan(TABLET + 1, b"", None, descending=False, limit=9)) == 2
    reader.close()


def test_begin_and_reads_keep_their_order(open_store):
    reader = open_store().reader()
    with pytest.raises(RuntimeError, match="no snapshot is open"):
        reader.get(TABLET, b"a")
    reader.begin()
    with pytest.raises(RuntimeError, match="already open"):
        reader.begin()
    reader.end()
    reader.end()
    reader.close()


def test_a_reader_cannot_write(open_store):
    reader = open_store().reader()
    reader.begin()
    with pytest.raises(StorageFailure):
        reader._rows("UPDATE head SET ts = 0", ())
    reader.close()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sets(keys, max_size=12), keys, st.none() | keys, st.booleans(), st.integers(1, 9))
def test_scans_give_what_a_sorted_list_gives(
    tmp_path_factory, stored, start, end, descending, limit
):
    from pyconvex.storage import Store

    store = Store.open(tmp_path_factory.mktemp("scan"), sync=lambda fd: None)
    writes = tuple(
        DocumentWrite(TABLET, key + bytes([place]), key, None, (), ((TABLET + 1, key),))
        for place, key in enumerate(sorted(stored), 1)
    )
    store.append([Proposal(0, b"", writes)])
    reader = store.reader()
    reader.begin()
    found = reader.scan(TABLET + 1, start, end, descending=descending, limit=limit)
    inside = sorted(key for key in stored if key >= start and (end is None or key < end))
    if descending:
        inside.reverse()
    assert [row[0] for row in found] == inside[:limit]
    assert all(row[3] == row[0] for row in found)
    by_id = reader.scan(TABLET, start, end, descending=descending, limit=limit)
    ids = sorted(write.id for write in writes)
    inside = [id for id in ids if id >= start and (end is None or id < end)]
    assert [row[0] for row in by_id] == (inside[::-1] if descending else inside)[:limit]
    reader.close()
    store.close()


def test_revisions_tell_the_history_and_say_when_it_is_gone(open_store, insert):
    now = [1]
    store = open_store(clock_ns=lambda: now[0])
    [made] = store.append([insert("a", b"1")])
    id, entry = b"a".ljust(16, b"\0"), ((TABLET + 1, b"a"),)
    gone = DocumentWrite(TABLET, id, None, made.ts, entry, ())
    [removed] = store.append([Proposal(0, b"", (gone,))])
    reader = store.reader()
    reader.begin()
    start = Position(1, 0)
    history = reader.revisions(start, limit=9, up_to_ts=removed.ts)
    assert [(r.ts, r.doc, r.prev_ts) for r in history] == [
        (made.ts, b"1", None),
        (removed.ts, None, made.ts),
    ]
    assert reader.revisions(history[0].position, limit=9, up_to_ts=removed.ts) == history[1:]
    assert reader.revisions(start, limit=9, up_to_ts=made.ts) == history[:1]
    reader.end()
    now[0] = removed.ts + 15 * 24 * 3600 * 10**9
    while store.sweep():
        pass
    reader.begin()
    assert reader.revisions(start, limit=9, up_to_ts=now[0]) is None
    assert reader.revisions(Position(removed.ts, 0), limit=9, up_to_ts=now[0]) == []
    reader.close()


def in_child(work) -> int:
    """Run `work` in a forked child; its exit status."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_reader_opens_after_the_fork(open_store, insert, tmp_path):
    store = open_store()
    store.append([insert("a")])
    path = store.database
    store.close()  # the process that forks holds no connection of its own
    reader = Reader(path)

    def child() -> None:
        reader.begin()
        assert len(reader.scan(TABLET + 1, b"", None, descending=False, limit=9)) == 1
        reader.close()

    assert in_child(child) == 0
    assert in_child(child) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_used_reader_refuses_to_cross_a_fork(open_store, insert):
    store = open_store()
    store.append([insert("a")])
    reader = store.reader()
    reader.begin()
    reader.end()

    def child() -> None:
        with pytest.raises(StorageFailure, match="before the process forked"):
            reader.begin()
        reader.close()

    assert in_child(child) == 0
    reader.begin()
    assert reader.get(TABLET, b"a".ljust(16, b"\0")) is not None
    reader.close()
