"""Copies of a folder that is being written to, and folders made from them."""

import subprocess
import sys
import threading

import apsw
import pytest

from pyconvex.storage import (
    BackupRefused,
    FolderRefused,
    Position,
    Replay,
    StorageFailure,
    Store,
    back_up,
    backup,
    restore,
    retention,
)


def test_a_copy_holds_everything_of_one_commit(open_store, insert, contents, tmp_path):
    store = open_store()
    store.append([insert("a", b"1", queue=b"row", replay=Replay("s", 7, b"answer"))])
    copy = back_up(tmp_path / "data", tmp_path / "copy.sqlite3")
    assert copy.ts == store.visible_ts
    assert copy.bytes == (tmp_path / "copy.sqlite3").stat().st_size
    store.append([insert("b")])
    restore(tmp_path / "copy.sqlite3", tmp_path / "again")
    again = open_store("again")
    assert contents(again) == {"a": b"1"}
    assert again.queue_stats(1).rows == 1
    reader = again.reader()
    head = reader.begin()
    assert reader.find_replay("s", 7).result == b"answer"
    [row] = reader.queue_rows(1, limit=9, up_to_ts=head.ts)
    assert row.body == b"row"
    reader.close()


def test_nobody_follows_changes_from_before_a_restore(open_store, insert, tmp_path):
    """What the original committed after the copy was made is not in the log of the new folder."""
    now = [10**18]
    store = open_store(clock_ns=lambda: now[0])
    [first] = store.append([insert("a")])
    back_up(tmp_path / "data", tmp_path / "copy.sqlite3")
    [lost] = store.append([insert("b")])
    restore(tmp_path / "copy.sqlite3", tmp_path / "again", clock_ns=lambda: now[0] + 10**9)
    again = open_store("again", clock_ns=lambda: now[0] + 2 * 10**9)
    reader = again.reader()
    restored = reader.begin().ts
    for ts in (first.ts, lost.ts):
        assert not reader.knows_since(ts)
        assert reader.revisions(Position(ts, 0), limit=9, up_to_ts=restored) is None
    assert reader.knows_since(restored)
    reader.end()
    now[0] += 2 * retention.REVISION_RETENTION_NS
    while again.sweep():
        pass
    [next_one] = again.append([insert("c")])
    reader.begin()
    assert not reader.knows_since(first.ts), "a sweep does not bring them back"
    assert [each[0] for each in reader.walk_revisions(restored)] == [next_one.ts]
    reader.close()


def test_a_copy_made_under_load_is_one_moment(open_store, insert, contents, tmp_path, monkeypatch):
    """Each commit has a document and a row, so a copy with unequal numbers is of no one commit."""
    monkeypatch.setattr(backup, "STEP_PAGES", 10)
    store = open_store()
    for number in range(200):
        store.append([insert(f"{number:05}", bytes(2000), queue=b"row")])
    committed = 200

    def commit_more(share: float) -> None:
        nonlocal committed
        if share < 1:
            store.append([insert(f"{committed:05}", bytes(2000), queue=b"row")])
            committed += 1

    shares = []
    back_up(
        tmp_path / "data",
        tmp_path / "copy",
        lambda share: (shares.append(share), commit_more(share)),
    )
    assert len(shares) > 10, "the copy was not made in steps"
    assert shares == sorted(shares), "a commit began the copy anew"
    assert committed > 210
    restore(tmp_path / "copy", tmp_path / "again")
    again = open_store("again")
    assert list(contents(again)) == [f"{number:05}" for number in range(200)]
    assert again.queue_stats(1).rows == 200


def test_a_copy_while_another_thread_commits(open_store, insert, contents, tmp_path):
    store = open_store()
    for number in range(500):
        store.append([insert(f"{number:05}", bytes(2000), queue=b"row")])
    done = threading.Event()
    copies: list[object] = []

    def copy() -> None:
        copies.append(back_up(tmp_path / "data", tmp_path / "copy"))
        done.set()

    thread = threading.Thread(target=copy)
    thread.start()
    number = 500
    while not done.is_set() and number < 100_000:
        store.append([insert(f"{number:05}", bytes(500), queue=b"row")])
        number += 1
    thread.join()
    assert len(copies) == 1
    restore(tmp_path / "copy", tmp_path / "again")
    again = open_store("again")
    assert 500 <= len(contents(again)) == again.queue_stats(1).rows


def test_timestamps_go_on_behind_all_that_were_given(open_store, insert, tmp_path):
    store = open_store()
    store.append([insert("a")])
    back_up(tmp_path / "data", tmp_path / "copy")
    last = 0
    for number in range(50):  # commits that the copy does not know, and clients do
        store.append([insert(f"{number}")])
        last = store.visible_ts
    restored = restore(tmp_path / "copy", tmp_path / "again")
    assert restored.ts > last
    again = open_store("again", clock_ns=lambda: 1)
    assert again.visible_ts == again.durable_ts == restored.ts
    [outcome] = again.append([insert("b")])
    assert outcome.ts > restored.ts


def test_a_clock_that_went_back_is_no_way_back(open_store, insert, tmp_path):
    store = open_store()
    store.append([insert("a")])
    copy = back_up(tmp_path / "data", tmp_path / "copy")
    assert restore(tmp_path / "copy", tmp_path / "again", clock_ns=lambda: 5).ts > copy.ts


def test_a_folder_that_holds_something_is_left_alone(open_store, insert, tmp_path, contents):
    store = open_store()
    store.append([insert("a")])
    back_up(tmp_path / "data", tmp_path / "copy")
    other = open_store("other")
    other.append([insert("b")])
    for folder in ("other", "data"):
        with pytest.raises(FolderRefused, match="is not empty; it was left as it is"):
            restore(tmp_path / "copy", tmp_path / folder)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FolderRefused, match="is not empty"):
        restore(tmp_path / "copy", tmp_path / "file")
    assert contents(other) == {"b": b"doc"}
    assert (tmp_path / "file").read_text() == "mine"


def test_an_existing_file_is_left_alone(open_store, tmp_path):
    open_store()
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(BackupRefused, match="exists already; it was left as it is"):
        back_up(tmp_path / "data", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "mine"


def test_there_must_be_something_to_copy(tmp_path):
    with pytest.raises(BackupRefused, match="holds no data"):
        back_up(tmp_path, tmp_path / "copy")
    with pytest.raises(BackupRefused, match="There is no backup"):
        restore(tmp_path / "copy", tmp_path / "again")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_backup_is_refused(open_store, tmp_path):
    (tmp_path / "text").write_text("no database" * 1000)
    apsw.Connection(str(tmp_path / "foreign")).execute("CREATE TABLE a (b)").connection.close()
    for name, reason in (("text", "is not a database"), ("foreign", "belongs to another program")):
        with pytest.raises(FolderRefused, match=reason):
            restore(tmp_path / name, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_damaged_copy_is_noticed(open_store, insert, tmp_path):
    store = open_store()
    for number in range(300):
        store.append([insert(f"{number:05}", bytes(2000))])
    path = back_up(tmp_path / "data", tmp_path / "copy").path
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = bytes(8192)
    path.write_bytes(content)
    with pytest.raises(StorageFailure, match=r"restoring .* was not possible"):
        restore(path, tmp_path / "again")
    assert list((tmp_path / "again").iterdir()) == []


def test_a_full_disk_leaves_no_half_copy(open_store, insert, tmp_path):
    store = open_store()
    for number in range(300):
        store.append([insert(f"{number:05}", bytes(2000))])
    program = (
        "import pathlib, resource, sys; from pyconvex.storage import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try: back_up(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "except StorageFailure as failure: print(failure)\n"
    )
    command = [sys.executable, "-c", program, tmp_path / "data", tmp_path / "copy"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "was not possible" in done.stdout, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_folder_without_a_server_is_copied_too(open_store, insert, contents, tmp_path, how):
    if how == "closed":
        store = open_store()
        store.append([insert("a")])
        store.close()
    else:
        program = (
            "import os, pathlib, sys; from pyconvex.storage import *\n"
            "store = Store.open(pathlib.Path(sys.argv[1]))\n"
            "keys = (((16 << 16) + 1, b'a'),)\n"
            "write = DocumentWrite(16 << 16, b'a' * 16, b'doc', None, (), keys)\n"
            "[done] = store.append([Proposal(0, b'', (write,))])\n"
            "store.wait_durable_blocking(done.ts)\n"
            "os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", program, tmp_path / "data"])
    back_up(tmp_path / "data", tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again")
    assert contents(open_store("again")) == {"a": b"doc"}


def test_a_server_that_starts_meanwhile_waits_its_turn(open_store, insert, tmp_path):
    store = open_store()
    store.append([insert("a")])
    back_up(tmp_path / "data", tmp_path / "copy")

    def start(_: float) -> None:
        with pytest.raises(FolderRefused, match="is in use by process"):
            Store.open(tmp_path / "again")

    restore(tmp_path / "copy", tmp_path / "again", on_progress=start)
