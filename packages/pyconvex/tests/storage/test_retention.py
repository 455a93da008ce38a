from pyconvex.storage import Replay, retention


def test_replay_records_are_kept_two_weeks(open_store, insert):
    now = [10**18]
    store = open_store(clock_ns=lambda: now[0])
    store.append([insert("a", replay=Replay("s", 1, b"r"))])
    now[0] += retention.REPLAY_RETENTION_NS
    store.append([insert("b", replay=Replay("s", 2, b"r"))])
    head = store.head
    assert not store.sweep()
    assert store.head == head, "a sweep with nothing to do writes nothing"
    now[0] += 1
    while store.sweep():
        pass
    reader = store.reader()
    reader.begin()
    assert reader.find_replay("s", 1) is None
    assert reader.find_replay("s", 2) is not None
    reader.close()


def test_sweeps_are_short_and_end(open_store, insert, monkeypatch):
    monkeypatch.setattr(retention, "SWEEP_ROWS", 7)
    now = [10**18]
    store = open_store(clock_ns=lambda: now[0])
    store.append([insert(f"{n}", replay=Replay("s", n, b"r")) for n in range(30)])
    now[0] += 2 * retention.REVISION_RETENTION_NS
    sweeps = 1
    while store.sweep():
        sweeps += 1
    assert sweeps >= 5
    counts = "SELECT (SELECT count(*) FROM replays), (SELECT count(*) FROM revisions)"
    assert store._db.execute(counts).get == (0, 0)
