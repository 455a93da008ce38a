import time

from pyconvex.storage import checkpoint


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def test_a_long_log_is_copied_in_the_background_and_begins_anew(
    open_store, insert, contents, monkeypatch
):
    monkeypatch.setattr(checkpoint, "IDLE_PAGES", 40)
    store = open_store()
    assert not store.checkpoint_if_due(idle=True)
    for number in range(60):
        store.append([insert(f"{number}", bytes(2000))])
    long = store.log_pages
    assert long > 60
    assert not store.checkpoint_if_due(idle=False)
    assert store.checkpoint_if_due(idle=True)
    wait_until(lambda: not store._checkpointer._using.locked(), "the checkpoint did not end")
    wait_until(lambda: store._checkpointer._copied_pages == long, "not everything was copied")
    assert not store.checkpoint_if_due(idle=True)
    store.append([insert("after")])
    assert store.log_pages < long
    assert len(contents(store)) == 61


def test_an_old_snapshot_keeps_the_log_until_it_ends(open_store, insert, contents, monkeypatch):
    monkeypatch.setattr(checkpoint, "RESTART_PAGES", 30)
    store = open_store()
    store.append([insert("a")])
    reader = store.reader()
    reader.begin()
    for number in range(40):
        store.append([insert(f"{number}", bytes(2000))])
    assert store.log_must_restart
    assert not store.restart_log(timeout_s=0.05)
    reader.end()
    assert store.restart_log(timeout_s=5)
    assert not store.log_must_restart
    long = 40
    store.append([insert("after")])
    assert store.log_pages < long
    assert len(contents(store)) == 42
    reader.close()


def test_closing_folds_the_log_into_the_database(open_store, insert, tmp_path, contents):
    store = open_store()
    store.append([insert("a")])
    store.close()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["data.sqlite3", "lock"]
    assert contents(open_store()) == {"a": b"doc"}
