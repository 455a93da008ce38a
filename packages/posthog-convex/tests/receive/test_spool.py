from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthog_convex.receive.spool import (
    MAX_SET_ASIDE,
    RESERVE_BYTES,
    Spool,
    SpoolError,
    Taken,
)

BOTH = ("logs", "errors")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path, BOTH, max_bytes=100)
    yield made
    made.close()


def bodies(spool: Spool, outlet: str) -> list[bytes]:
    return [row.body for row in spool.read(outlet, 100, 10_000)]


def test_a_batch_is_taken_once(spool: Spool) -> None:
    assert spool.accept(b"1", [b"a", b"b"], 0) is Taken.ACCEPTED
    assert spool.accept(b"1", [b"a", b"b"], 0) is Taken.KNOWN
    assert bodies(spool, "logs") == bodies(spool, "errors") == [b"a", b"b"]


def test_what_does_not_fit_is_refused_whole_and_can_come_again(spool: Spool) -> None:
    assert spool.accept(b"1", [b"a" * 60], 0) is Taken.ACCEPTED
    assert spool.accept(b"2", [b"b", b"c" * 60], 0) is Taken.FULL
    for outlet in BOTH:
        spool.done(outlet, spool.read(outlet, 1, 1)[0].seq, 1)
    assert spool.accept(b"2", [b"b", b"c" * 60], 0) is Taken.ACCEPTED


def test_the_last_of_the_disk_is_left_for_what_makes_room(tmp_path: Path) -> None:
    free = RESERVE_BYTES + 60
    spool = Spool(tmp_path, BOTH, max_bytes=1000, free_bytes=lambda folder: free)
    assert spool.accept(b"1", [b"a" * 61], 0) is Taken.FULL
    assert spool.accept(b"1", [b"a" * 60], 0) is Taken.ACCEPTED
    spool.close()


def test_what_could_not_be_deleted_still_counts(spool: Spool) -> None:
    spool.accept(b"1", [b"a" * 60], 0)
    (row,) = spool.read("logs", 1, 100)
    spool.done("errors", row.seq, 0)
    spool._db.execute("CREATE TRIGGER full BEFORE DELETE ON events"
                      " BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END")  # fmt: skip
    with pytest.raises(sqlite3.Error, match="disk is full"):
        spool.done("logs", row.seq, 1)
    assert spool.waiting("logs").waiting == 1
    assert spool.accept(b"2", [b"b" * 60], 0) is Taken.FULL
    spool._db.execute("DROP TRIGGER full")
    spool.done("logs", row.seq, 1)
    assert spool.accept(b"2", [b"b" * 60], 0) is Taken.ACCEPTED


def test_an_event_stays_until_every_outlet_is_done_with_it(spool: Spool) -> None:
    spool.accept(b"1", [b"a", b"b"], 0)
    first, second = spool.read("logs", 10, 100)
    spool.done("logs", second.seq, 2)
    assert bodies(spool, "logs") == []
    assert bodies(spool, "errors") == [b"a", b"b"]
    spool.done("errors", first.seq, 0)
    assert bodies(spool, "errors") == [b"b"]
    assert spool.waiting("logs").sent == 2


def test_reads_are_bounded_and_bring_at_least_one(spool: Spool) -> None:
    spool.accept(b"1", [b"aaa", b"bbb", b"ccc"], 0)
    assert [row.body for row in spool.read("logs", 10, 6)] == [b"aaa", b"bbb"]
    assert [row.body for row in spool.read("logs", 10, 1)] == [b"aaa"]
    assert [row.body for row in spool.read("logs", 2, 100)] == [b"aaa", b"bbb"]


def test_what_is_set_aside_is_out_of_the_way(spool: Spool) -> None:
    spool.accept(b"1", [b"bad", b"good"], 0)
    spool.set_aside("logs", spool.read("logs", 1, 100)[0], "400: no")
    assert bodies(spool, "logs") == [b"good"]
    assert bodies(spool, "errors") == [b"bad", b"good"]
    assert spool.waiting("logs").set_aside == 1


def test_set_aside_is_bounded(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ("logs",), max_bytes=10**9)
    spool.accept(b"1", [b"x"] * (MAX_SET_ASIDE + 5), 0)
    for row in spool.read("logs", MAX_SET_ASIDE + 5, 10**9):
        spool.set_aside("logs", row, "no")
    assert spool.waiting("logs").set_aside == MAX_SET_ASIDE
    spool.close()


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path, BOTH, max_bytes=100)
    spool.accept(b"1", [b"a", b"b"], 5)
    spool.done("logs", spool.read("logs", 1, 1)[0].seq, 1)
    spool.close()
    spool = Spool(tmp_path, BOTH, max_bytes=100)
    assert bodies(spool, "logs") == [b"b"]
    assert bodies(spool, "errors") == [b"a", b"b"]
    assert spool.accept(b"1", [b"a", b"b"], 6) is Taken.KNOWN
    assert spool.accept(b"2", [b"x" * 99], 6) is Taken.FULL
    spool.close()


def test_an_outlet_that_is_new_begins_with_what_comes_next(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ("logs",), max_bytes=100)
    spool.accept(b"1", [b"a"], 0)
    spool.close()
    spool = Spool(tmp_path, BOTH, max_bytes=100)
    spool.accept(b"2", [b"b"], 0)
    assert bodies(spool, "errors") == [b"b"]
    assert bodies(spool, "logs") == [b"a", b"b"]
    spool.close()
    spool = Spool(tmp_path, ("errors",), max_bytes=100)
    spool.done("errors", spool.read("errors", 9, 99)[-1].seq, 1)
    assert spool.accept(b"3", [b"x" * 100], 0) is Taken.ACCEPTED, "nothing is held back"
    spool.close()


def test_old_batches_are_forgotten(spool: Spool) -> None:
    spool.accept(b"1", [], 10)
    spool.forget_batches(10)
    assert spool.accept(b"1", [], 11) is Taken.KNOWN
    spool.forget_batches(11)
    assert spool.accept(b"1", [], 12) is Taken.ACCEPTED


def test_a_folder_has_one_receiver(tmp_path: Path) -> None:
    spool = Spool(tmp_path, BOTH, max_bytes=100)
    with pytest.raises(SpoolError, match="another receiver uses"):
        Spool(tmp_path, BOTH, max_bytes=100)
    spool.close()
    Spool(tmp_path, BOTH, max_bytes=100).close()
