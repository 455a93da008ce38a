"""A writer that dies or finds no room: what it acknowledged is there, what it refused is not."""

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pyconvex.storage import (
    Position,
    Proposal,
    QueueAppend,
    Reader,
    StorageFailure,
    database_path,
)
from pyconvex.storage.model import FIRST_DATA_TABLET

COMMITTING = """
    import itertools, pathlib, sys
    from pyconvex.storage import *
    store = Store.open(pathlib.Path(sys.argv[1]))
    T = 16 << 16
    for n in itertools.count():
        ids = [b"%015d%d" % (n, half) for half in (0, 1)]
        writes = tuple(DocumentWrite(T, id, b"x" * 300, None, (), ((T + 1, id),)) for id in ids)
        [done] = store.append([Proposal(0, b"", writes, (QueueAppend(1, b"row"),))])
        store.wait_durable_blocking(done.ts)
        print(n, flush=True)
        store.checkpoint_if_due(idle=n % 50 == 0)
"""

PUTTING_BACK = """
    import pathlib, sys
    from pyconvex.storage import *
    store = Store.open(pathlib.Path(sys.argv[1]))
    while True:
        reader = store.reader()
        ts = reader.begin().ts
        queued = [row.position for row in reader.queue_rows(1, limit=1000, up_to_ts=ts)]
        aside = [place for place, _ in reader.set_aside_places(1)]
        reader.close()
        for place in queued[::2]:
            store.set_aside(1, place, "400: no")
        done, moved, left = store.put_back(1, aside)
        assert (moved, left) == (len(aside), 0)
        store.wait_durable_blocking(done)
        print(moved, flush=True)
        store.checkpoint_if_due(idle=True)
"""

FILLING = """
    import itertools, pathlib, resource, sys
    from pyconvex.storage import *
    store = Store.open(pathlib.Path(sys.argv[1]))
    T = 16 << 16
    def put(n):
        id = b"%016d" % n
        write = DocumentWrite(T, id, b"x" * 3000, None, (), ((T + 1, id),))
        [done] = store.append([Proposal(0, b"", (write,), (QueueAppend(1, b"row"),))])
        store.wait_durable_blocking(done.ts)
        print("kept", n, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    for n in itertools.count():
        try:
            put(n)
        except StorageFailure as failure:
            print("refused", n, failure, flush=True)
            break
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    put(n + 1)
    store.close()
"""


def start(program: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), folder], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_writer_keeps_what_it_acknowledged(tmp_path, open_store, contents, seed):
    writer = start(COMMITTING, tmp_path / "data")
    assert writer.stdout is not None
    with writer:
        for _ in range(random.Random(seed).randrange(50, 300)):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, writer.stdout)])
    store = open_store()
    numbers = sorted({int(name[:-1]) for name in contents(store)})
    assert numbers == list(range(len(numbers)))
    assert len(contents(store)) == 2 * len(numbers), "half a commit is there"
    assert numbers[-1] >= acknowledged
    assert store.queue_stats(1).rows == len(numbers)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_killed_retry_neither_loses_nor_doubles_a_row(tmp_path, open_store, seed):
    bodies = {b"%d" % n for n in range(40)}
    store = open_store()
    store.append([Proposal(0, b"", appends=(QueueAppend(1, body),)) for body in sorted(bodies)])
    store.close()
    writer = start(PUTTING_BACK, tmp_path / "data")
    assert writer.stdout is not None
    with writer:
        for _ in range(random.Random(seed).randrange(1, 40)):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    store = open_store()
    reader = store.reader()
    ts = reader.begin().ts
    queued = [row.body for row in reader.queue_rows(1, limit=1000, up_to_ts=ts)]
    aside = [row.body for row in reader.set_aside_rows(1, limit=1000)]
    reader.close()
    assert len(queued) + len(aside) == len(bodies)
    assert {*queued, *aside} == bodies
    stats = store.queue_stats(1)
    assert (stats.rows, stats.set_aside) == (len(queued), len(aside))


@pytest.mark.parametrize("statement", range(14))
def test_a_retry_that_breaks_at_any_statement_has_not_happened(open_store, statement):
    """As of a writer that dies there: the transaction is whole or never was."""
    store = open_store()
    done = store.append([Proposal(0, b"", appends=(QueueAppend(1, b"%d" % n),)) for n in range(3)])
    places = [Position(each.ts, 0) for each in done]
    for place in places:
        store.set_aside(1, place, "400: no")
    seen = 0

    def breaks(_cursor: object, sql: str, _bindings: object) -> bool:
        nonlocal seen
        seen += 1
        return seen - 1 != statement or sql.startswith("ROLLBACK")

    store._db.exec_trace = breaks
    try:
        store.put_back(1, places)
        broke = False
    except StorageFailure:
        broke = True
    finally:
        store._db.exec_trace = None
    reader = store.reader()
    ts = reader.begin().ts
    queued = [row.body for row in reader.queue_rows(1, limit=9, up_to_ts=ts)]
    aside = [row.body for row in reader.set_aside_rows(1, limit=9)]
    assert reader.queue_stats(1) == store.queue_stats(1)
    reader.close()
    assert (sorted(queued), sorted(aside)) == (
        ([], [b"0", b"1", b"2"]) if broke else ([b"0", b"1", b"2"], [])
    )
    assert broke == (statement < seen)
    assert statement < 13 or not broke, "the last statements are not tried"


def test_a_disk_without_room_refuses_in_words_and_loses_nothing(tmp_path, open_store, contents):
    with start(FILLING, tmp_path / "data") as writer:
        assert writer.stdout is not None
        lines = writer.stdout.read().splitlines()
    assert writer.returncode == 0, lines
    refused = [line for line in lines if line.startswith("refused")]
    assert len(refused) == 1
    assert "What was acknowledged before is safe" in refused[0]
    kept = {f"{int(line.split()[1]):016d}" for line in lines if line.startswith("kept")}
    assert len(kept) > 20
    store = open_store()
    assert set(contents(store)) == kept
    assert store.queue_stats(1).rows == len(kept)


def test_a_full_database_recovers_once_there_is_room(open_store, insert, contents):
    store = open_store()
    store._db.execute("PRAGMA max_page_count=60")
    kept = {}

    def fill() -> None:
        for number in range(1000):
            store.append([insert(f"{number}", bytes(3000), queue=b"row")])
            kept[f"{number}"] = bytes(3000)

    with pytest.raises(StorageFailure, match=r"^The disk is full: a commit was not possible\."):
        fill()
    assert contents(store) == kept
    assert store.queue_stats(1).rows == len(kept)
    store._db.execute("PRAGMA max_page_count=1000000")
    store.append([insert("more")])
    store.wait_durable_blocking(store.visible_ts, timeout_s=10)
    assert contents(store) == {**kept, "more": b"doc"}


def test_a_reader_that_is_killed_mid_snapshot_holds_nothing(open_store, insert):
    store = open_store()
    store.append([insert("a")])
    program = (
        "import sys, pathlib; from pyconvex.storage import Reader\n"
        "reader = Reader(pathlib.Path(sys.argv[1])); reader.begin()\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, store.database]
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"open\n"
        store.append([insert("b")])
        assert not store.restart_log(timeout_s=0.05)
        os.kill(reader.pid, signal.SIGKILL)
    assert store.restart_log(timeout_s=5)


def test_reading_a_folder_that_has_no_database(tmp_path):
    with pytest.raises(StorageFailure, match="opening a snapshot was not possible"):
        Reader(database_path(tmp_path)).begin()


assert FIRST_DATA_TABLET == 16 << 16, "the programs above spell it out"
