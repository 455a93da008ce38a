"""Power cuts: `kill -9` proves nothing about them, so the log is cut and spoiled by hand."""

import random
import shutil
from pathlib import Path

import pytest

from pyconvex.storage import DocumentWrite, Position, Proposal, QueueAppend, Replay, Store
from pyconvex.storage.model import FIRST_DATA_TABLET, Appended

TABLET = FIRST_DATA_TABLET
FRAME_BYTES = 4096 + 24
SECTOR_BYTES = 512


class History:
    """A store under random load, with its expected contents and the log's length at each commit."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.store = Store.open(folder)
        self.folder = folder
        self.live: dict[bytes, tuple[int, bytes]] = {}
        self.queued: list[tuple[int, int, bytes]] = []
        self.replays: dict[int, bytes] = {}
        self.states = {self.store.visible_ts: self.snapshot()}
        self.lengths: dict[int, int] = {}
        self.acknowledged: list[int] = []

    def snapshot(self) -> tuple[dict, list, dict]:
        return dict(self.live), list(self.queued), dict(self.replays)

    def step(self) -> None:
        if self.queued and self.random.random() < 0.15:
            row = self.random.choice(self.queued)
            ts = self.store.acknowledge(1, Position(row[0], row[1]))
            self.queued = [each for each in self.queued if each[:2] > row[:2]]
        else:
            ts = self.commit()
        self.states[ts] = self.snapshot()
        self.lengths[ts] = 32 + self.store.log_pages * FRAME_BYTES
        if self.random.random() < 0.3:
            self.store.wait_durable_blocking(ts, timeout_s=30)
            self.acknowledged.append(ts)

    def commit(self) -> int:
        writes = tuple(self.write() for _ in range(self.random.randrange(1, 4)))
        writes = tuple({write.id: write for write in writes}.values())
        body = self.random.randbytes(self.random.randrange(2000))
        request = len(self.states)
        proposal = Proposal(0, b"", writes, (QueueAppend(1, body),), Replay("s", request, body[:9]))
        [outcome] = self.store.append([proposal])
        assert isinstance(outcome, Appended)
        for write in writes:
            self.live.pop(write.id, None)
            if write.doc is not None:
                self.live[write.id] = (outcome.ts, write.doc)
        self.queued.append((outcome.ts, 0, body))
        self.replays[request] = body[:9]
        return outcome.ts

    def write(self) -> DocumentWrite:
        if self.live and self.random.random() < 0.5:
            id = self.random.choice(sorted(self.live))
            ts, old = self.live[id]
            doc = None if self.random.random() < 0.4 else self.doc()
            new_keys = () if doc is None else key(doc)
            return DocumentWrite(TABLET, id, doc, ts, key(old), new_keys)
        doc = self.doc()
        return DocumentWrite(TABLET, self.random.randbytes(16), doc, None, (), key(doc))

    def doc(self) -> bytes:
        return self.random.randbytes(self.random.choice([20, 300, 9000]))


def key(doc: bytes) -> tuple[tuple[int, bytes], ...]:
    return ((TABLET + 1, doc[:20]),)


def check_cut(history: History, copy: Path, since: int) -> None:
    """Copy the files, spoil the log behind a durable commit, reopen, compare."""
    choices = [ts for ts in history.acknowledged if ts in history.lengths and ts >= since]
    durable = history.random.choice(choices)
    shutil.copytree(history.folder, copy, ignore=shutil.ignore_patterns("*-shm", "lock"))
    log = copy / "data.sqlite3-wal"
    log.write_bytes(spoiled(history, log.read_bytes(), history.lengths[durable]))
    store = Store.open(copy)
    found = store.visible_ts
    assert found >= durable, "an acknowledged commit is gone"
    assert contents(store) == history.states[found], "a commit is half there"
    store.append([Proposal(0, b"", (DocumentWrite(TABLET, b"after", b"x" * 20, None),))])
    store.close()
    shutil.rmtree(copy)


def spoiled(history: History, log: bytes, synced: int) -> bytes:
    """What a disk may hold: the synced part, then any mix of new, old and foreign sectors."""
    end = history.random.randrange(synced, len(log) + 1)
    kept = bytearray(log[:end])
    if history.random.random() < 0.5:
        return bytes(kept)
    for start in range(synced, end, SECTOR_BYTES):
        stop = min(start + SECTOR_BYTES, end)
        fate = history.random.random()
        if fate < 0.1:
            kept[start:stop] = bytes(stop - start)
        elif fate < 0.2:
            kept[start:stop] = history.random.randbytes(stop - start)
    return bytes(kept)


def contents(store: Store) -> tuple[dict, list, dict]:
    reader = store.reader()
    ts = reader.begin().ts
    rows = reader.scan(TABLET, b"", None, descending=False, limit=-1)
    entries = reader.scan(TABLET + 1, b"", None, descending=False, limit=-1)
    assert {(r[1], r[0]) for r in entries} == {(r[1], r[3][:20]) for r in rows}
    queued = [(r.ts, r.seq, r.body) for r in reader.queue_rows(1, limit=10**6, up_to_ts=ts)]
    stored = reader._rows("SELECT request_id, result FROM replays", ())
    stats = reader.queue_stats(1)
    assert (stats.rows, stats.bytes) == (len(queued), sum(len(row[2]) for row in queued))
    reader.close()
    return {r[1]: (r[2], r[3]) for r in rows}, queued, dict(stored)


def run(tmp_path: Path, seed: int, commits: int, cuts: int) -> None:
    history = History(tmp_path / "data", seed)
    restarted = 0
    for number in range(commits):
        history.step()
        if number == commits // 3:
            assert history.store.restart_log(timeout_s=10)
            restarted = history.store.visible_ts + 1
    for _ in range(cuts):
        check_cut(history, tmp_path / "copy", restarted)
    history.store.close()


def test_a_cut_log_loses_nothing_durable_and_keeps_nothing_half(tmp_path):
    run(tmp_path, seed=1, commits=120, cuts=50)


def test_a_cut_before_a_durable_commit_would_be_noticed(tmp_path):
    history = History(tmp_path / "data", seed=0)
    for _ in range(40):
        history.step()
    durable = history.acknowledged[-1]
    history.lengths[durable] -= FRAME_BYTES
    history.acknowledged = [durable]

    def cut_often() -> None:
        for number in range(50):
            check_cut(history, tmp_path / f"copy{number}", 0)

    with pytest.raises(AssertionError, match="an acknowledged commit is gone"):
        cut_often()
    history.store.close()


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(2, 22))
def test_many_cut_logs(tmp_path, seed):
    run(tmp_path, seed, commits=300, cuts=100)
