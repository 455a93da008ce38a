import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from pyconvex.storage import (
    Appended,
    DocumentWrite,
    FolderRefused,
    IndexEntry,
    Proposal,
    Rejected,
    Replay,
    Replayed,
    StorageFailure,
    Store,
)
from pyconvex.storage.model import FIRST_DATA_TABLET

TABLET = FIRST_DATA_TABLET


def test_what_is_appended_is_in_the_next_snapshot(open_store, insert, contents):
    store = open_store()
    outcomes = store.append([insert("a", b"1"), insert("b", b"2")])
    assert [type(outcome) for outcome in outcomes] == [Appended, Appended]
    assert outcomes[0].ts < outcomes[1].ts == store.visible_ts
    assert contents(store) == {"a": b"1", "b": b"2"}


def test_a_bad_write_does_not_disturb_its_neighbours(open_store, insert, contents):
    store = open_store()
    store.append([insert("a")])
    first, bad, last = store.append([insert("b"), insert("a", b"twice"), insert("c", queue=b"row")])
    assert isinstance(bad, Rejected)
    assert isinstance(first, Appended)
    assert isinstance(last, Appended)
    assert contents(store) == {"a": b"doc", "b": b"doc", "c": b"doc"}
    assert store.queue_stats(1).rows == 1


def test_half_of_a_bad_proposal_is_not_kept(open_store, insert, contents):
    store = open_store()
    store.append([insert("a")])
    good = insert("b").writes[0]
    wrong_version = DocumentWrite(TABLET, b"a".ljust(16, b"\0"), b"new", 17)
    [outcome] = store.append([Proposal(0, b"", (good, wrong_version))])
    assert isinstance(outcome, Rejected)
    assert "not the stored one" in outcome.reason
    assert contents(store) == {"a": b"doc"}


@pytest.mark.parametrize(
    "write",
    [
        DocumentWrite(TABLET, b"missing", None, None),
        DocumentWrite(TABLET, b"missing", None, 5),
        DocumentWrite(TABLET, b"new", b"", None, (), ((TABLET + 1, b"a"),)),
        DocumentWrite(2**70, b"new", b"", None),
    ],
)
def test_writes_that_contradict_what_is_stored(open_store, insert, contents, write):
    store = open_store()
    store.append([insert("a")])
    [outcome] = store.append([Proposal(0, b"", (write,))])
    assert isinstance(outcome, Rejected)
    assert contents(store) == {"a": b"doc"}


def test_update_and_delete_move_entries(open_store, insert):
    store = open_store()
    [made] = store.append([insert("a")])
    id, old = b"a".ljust(16, b"\0"), ((TABLET + 1, b"a"),)
    new = ((TABLET + 1, b"z"),)
    [moved] = store.append(
        [Proposal(0, b"", (DocumentWrite(TABLET, id, b"2", made.ts, old, new),))]
    )
    reader = store.reader()
    reader.begin()
    assert reader.get(TABLET, id) == (moved.ts, b"2")
    rows = reader.scan(TABLET + 1, b"", None, descending=False, limit=9)
    assert rows == [(b"z", id, moved.ts, b"2")]
    reader.end()
    store.append([Proposal(0, b"", (DocumentWrite(TABLET, id, None, moved.ts, new, ()),))])
    reader.begin()
    assert reader.get(TABLET, id) is None
    assert reader.scan(TABLET + 1, b"", None, descending=False, limit=9) == []
    reader.close()


def test_backfill_and_dropping_an_index(open_store, insert):
    store = open_store()
    store.append([insert("a"), insert("b")])
    ids = [name.ljust(16, b"\0") for name in (b"a", b"b")]
    entries = tuple(IndexEntry(TABLET + 2, b"k" + id, id) for id in ids)
    store.append([Proposal(0, b"", backfill=entries)])
    reader = store.reader()
    reader.begin()
    assert [r[1] for r in reader.scan(TABLET + 2, b"", None, descending=True, limit=9)] == ids[::-1]
    reader.end()
    store.append([Proposal(0, b"", dropped_indexes=(TABLET + 2,))])
    while store.sweep():
        pass
    reader.begin()
    assert reader.scan(TABLET + 2, b"", None, descending=True, limit=9) == []
    assert len(reader.scan(TABLET + 1, b"", None, descending=True, limit=9)) == 2
    reader.close()


def test_a_numbered_request_is_applied_once(open_store, insert, contents):
    store = open_store()
    replay = Replay("session", 4, b"result")
    first, second = store.append([insert("a", replay=replay), insert("b", replay=replay)])
    assert second == Replayed(first.ts, b"result")
    store.close()
    store = open_store()
    [third] = store.append([insert("c", replay=Replay("session", 4, b"other"))])
    assert third == Replayed(first.ts, b"result")
    assert contents(store) == {"a": b"doc"}
    reader = store.reader()
    reader.begin()
    assert reader.find_replay("session", 4).result == b"result"
    assert reader.find_replay("session", 5) is None
    reader.close()


def test_timestamps_rise_even_when_the_clock_does_not(open_store, insert):
    times = iter([1000, 900, 900])
    store = open_store(clock_ns=lambda: next(times))
    stamps = [store.append([insert(name)])[0].ts for name in "abc"]
    assert stamps == [1000, 1001, 1002]
    store.close()
    store = open_store(clock_ns=lambda: 5)
    assert store.head.ts == 1002
    assert store.append([insert("d")])[0].ts == 1003


def test_only_registries_move_the_catalog(open_store, insert):
    store = open_store()
    [registry] = store.append([insert("t", tablet=1 << 16)])
    store.append([insert("a")])
    assert store.head.catalog_ts == registry.ts < store.head.ts
    store.close()
    assert open_store().head.catalog_ts == registry.ts


def test_the_folder_is_locked_for_life(open_store, tmp_path):
    store = open_store()
    with pytest.raises(FolderRefused, match=f"in use by process {os.getpid()}"):
        Store.open(tmp_path / "data")
    store.close()
    open_store()


def test_another_process_is_named(open_store, tmp_path):
    program = (
        "import sys, pathlib; from pyconvex.storage import Store\n"
        "store = Store.open(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "data"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(FolderRefused, match=f"process {holder.pid}"):
            open_store()
        holder.kill()
    open_store()


def test_a_newer_format_is_refused_and_left_alone(open_store, tmp_path):
    open_store().close()
    path = tmp_path / "data" / "data.sqlite3"
    with apsw.Connection(str(path)) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(FolderRefused, match="has format 99, written by a newer version"):
        open_store()
    db = apsw.Connection(str(path))
    assert db.pragma("user_version") == 99
    db.close()


def test_what_is_not_ours_is_refused(open_store, tmp_path):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "data.sqlite3"
    path.write_bytes(b"a letter to my aunt" * 300)
    with pytest.raises(FolderRefused, match="is not a database"):
        open_store()
    path.unlink()
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE theirs (a)")
    db.close()
    with pytest.raises(FolderRefused, match="belongs to another program"):
        open_store()


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderRefused, match="cannot be used"):
        Store.open(tmp_path / "file" / "data")


@pytest.mark.parametrize(
    "broken", ["revisions WHEN new.doc = x'62'", "queue_levels"], ids=["early", "at the end"]
)
def test_nothing_is_kept_of_an_append_that_fails(open_store, insert, contents, broken):
    store = open_store()
    store.append([insert("a", queue=b"1")])
    before = store.head, store.queue_stats(1)
    store._db.execute(
        f"CREATE TEMP TRIGGER broken BEFORE INSERT ON {broken}"
        " BEGIN SELECT RAISE(ROLLBACK, 'broken'); END"
    )
    with pytest.raises(StorageFailure):
        store.append([insert("x", queue=b"2"), insert("b", b"b", queue=b"3")])
    store._db.execute("DROP TRIGGER broken")
    assert (store.head, store.queue_stats(1)) == before
    assert contents(store) == {"a": b"doc"}
    store.append([insert("c")])
    assert contents(store) == {"a": b"doc", "c": b"doc"}
