"""Data sync: what was emitted up to a consistent page is the data at that page's timestamp."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from data_life import Life
from export_world import SECRET, Consumer, ExportWorld, kept
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pyconvex.export.answers import Answers
from pyconvex.export.cursor import SyncCursor, seal
from pyconvex.export.data_sync import PageLimits
from pyconvex.export.messages import DataSync, SelectionText
from pyconvex.storage import retention
from pyconvex.values import Int64


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ExportWorld]:
    world = ExportWorld(tmp_path / "data")
    yield world
    world.close()


def test_a_sync_begins_with_truncates_and_ends_up_to_date(world: ExportWorld) -> None:
    first = world.insert("users", {"name": "Ann"})
    consumer = Consumer(world)
    snapshot_ts = consumer.settle()
    [page] = consumer.pages
    assert page["truncates"] == [{"component": "", "table": "users"}]
    [row] = page["values"]
    assert row["value"]["_id"] == first
    assert (row["component"], row["table"], row["deleted"]) == ("", "users", False)
    assert page["pagination"]["hasMore"] is True
    assert consumer.state == world.history[snapshot_ts]


# Random histories


@settings(max_examples=settings.default.max_examples // 10, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32), entries=st.integers(1, 60))
def test_each_consistent_page_gives_the_data_at_its_timestamp(
    tmp_path_factory: pytest.TempPathFactory, seed: int, entries: int
) -> None:
    world = ExportWorld(tmp_path_factory.mktemp("world") / "data")
    try:
        live_through(world, Random(seed), entries)
    finally:
        world.close()


def live_through(world: ExportWorld, random: Random, entries: int) -> None:
    for component in ("mail", "mail/deep"):
        world.mount(component)
    life = Life(world, random)
    answers = world.new_answers(PageLimits(entries, 1 << 20, max(entries, 10)))
    consumer = Consumer(world, tell_dropped=True, tell_old_document=True)
    for _ in range(60):
        for _ in range(random.choice([0, 0, 1, 1, 2, 5])):
            life.change()
        status = consumer.step(answers)
        if random.random() < 0.1:  # the process was killed: another one goes on
            answers.close()
            answers = world.new_answers(PageLimits(entries, 1 << 20, max(entries, 10)))
        page = consumer.pages[-1]
        if status != "snapshotting":
            at = page["status"]["snapshotTs"]
            assert kept(consumer.state) == kept(world.history[at])
    for _ in range(2_000):
        if consumer.step(answers) == "upToDate":
            break
    else:
        raise AssertionError("it never settles")
    assert consumer.state == world.state
    answers.close()


# Limits


def test_a_transaction_is_on_one_page_whatever_its_size(world: ExportWorld) -> None:
    world.insert("a", {"n": 0.0})
    consumer = Consumer(world)
    consumer.settle()
    world.write(lambda db: [db.insert("a", {"n": float(n)}) for n in range(500)])
    world.insert("a", {"n": -1.0})
    answers = world.new_answers(PageLimits(10, 1 << 20, 20))
    assert consumer.step(answers) == "stale"
    assert len(consumer.pages[-1]["values"]) == 500
    assert consumer.state == world.history[consumer.pages[-1]["status"]["snapshotTs"]]
    assert consumer.step(answers) == "upToDate"
    answers.close()


def test_documents_of_a_megabyte_end_pages_by_their_bytes(world: ExportWorld) -> None:
    for _ in range(6):
        world.insert("a", {"s": "x" * (1024 * 1024 - 200)})
    consumer = Consumer(world)
    answers = world.new_answers(PageLimits(100, 2 * 1024 * 1024, 100))
    while consumer.step(answers) != "upToDate":
        assert 1 <= len(consumer.pages[-1]["values"]) <= 3
    assert len(consumer.pages) >= 2
    assert consumer.state == world.state
    answers.close()


def test_a_page_takes_several_small_tables(world: ExportWorld) -> None:
    for table in ("a", "b", "c"):
        world.insert(table, {"n": 1.0})
    consumer = Consumer(world)
    assert consumer.step() == "upToDate"
    assert len(consumer.pages[0]["truncates"]) == 3


def test_a_smaller_page_may_be_asked_for(world: ExportWorld) -> None:
    world.write(lambda db: [db.insert("a", {"n": float(n)}) for n in range(10)])
    consumer = Consumer(world, page_size=4)
    consumer.settle()
    assert [len(page["values"]) for page in consumer.pages] == [4, 4, 2]
    assert consumer.state == world.state


# Selections, replaced tables, cursors


def choosing(*tables: str, columns: str = '"included"') -> bytes:
    chosen = "".join(f',"{table}":{columns}' for table in tables)
    return b'{"_other":"excluded","":{"_other":"excluded"%b}}' % chosen.encode()


def test_a_selection_may_change_from_page_to_page(world: ExportWorld) -> None:
    for table in ("a", "b"):
        world.write(lambda db, table=table: [db.insert(table, {"n": 1.0}) for _ in range(3)])
    consumer = Consumer(world, selection=choosing("a"))
    consumer.settle()
    assert set(consumer.state) == {("", "a")}
    consumer.selection = choosing("a", "b")
    consumer.settle()
    assert consumer.pages[-1]["truncates"] == [{"component": "", "table": "b"}]
    assert consumer.state == world.state
    consumer.selection = choosing("b")
    world.insert("a", {"n": 2.0})
    world.insert("b", {"n": 2.0})
    consumer.settle()
    assert consumer.pages[-1]["truncates"] == [], "a table that is not asked for just ends"
    assert consumer.state["", "b"] == world.state["", "b"]
    consumer.selection = choosing("a", "b")
    consumer.settle()
    assert consumer.state == world.state


def test_while_it_goes_on_a_sync_is_always_at_a_table(world: ExportWorld) -> None:
    world.insert("a", {"n": 1.0})
    consumer = Consumer(world)
    consumer.settle()
    for _ in range(3):
        world.insert("a", {"n": 2.0})
    world.insert("b", {"n": 3.0})
    asked = DataSync(consumer.cursor, SelectionText(), "s", page_size=1)
    head, _ = world.answers.answer(asked)
    assert head.progress is not None
    told = head.progress
    assert (told.status, told.table, told.documents_in_table) == ("snapshotting", "b", 0)


def test_columns_that_are_not_selected_stay(world: ExportWorld) -> None:
    columns = '{"_other":"included","ssn":"excluded"}'
    consumer = Consumer(world, selection=choosing("a", columns=columns))
    id = world.insert("a", {"name": "Ann", "ssn": "canary", "deep": {"ssn": "inner"}})
    consumer.settle()
    world.write(lambda db: db.patch(id, {"name": "Anna"}))
    consumer.settle()
    assert "canary" not in str(consumer.pages)
    assert consumer.state["", "a"][id]["deep"] == {"ssn": "inner"}
    assert set(consumer.state["", "a"][id]) == {"_id", "_creationTime", "name", "deep"}


def test_a_table_that_was_dropped_and_one_that_took_its_name(world: ExportWorld) -> None:
    world.insert("a", {"n": 1.0})
    world.insert("b", {"n": 1.0})
    consumer = Consumer(world, tell_dropped=True)
    plain = Consumer(world)
    consumer.settle()
    plain.settle()
    world.drop("a")
    consumer.settle()
    plain.settle()
    assert consumer.pages[-1]["dropped"] == [{"component": "", "table": "a"}]
    assert "dropped" not in plain.pages[-1]
    assert consumer.state == world.state
    again = world.insert("a", {"n": 2.0})
    consumer.settle()
    assert consumer.pages[-1]["truncates"] == [{"component": "", "table": "a"}]
    assert set(consumer.state["", "a"]) == {again}
    while world.store.sweep():
        pass
    assert consumer.state == world.state, "what is swept is the old one's"


def test_a_successor_that_is_dropped_before_it_begins_leaves_nothing_behind(
    world: ExportWorld,
) -> None:
    for table in ("a", "b", "c"):
        world.insert(table, {"n": 1.0})
    consumer = Consumer(world, tell_dropped=True)
    answers = world.new_answers(PageLimits(1, 1 << 20, 10))
    while not {("", "a"), ("", "b")} <= consumer.state.keys():
        assert consumer.step(answers) == "snapshotting"
    world.drop("a")
    world.insert("a", {"n": 2.0})  # begins after all others
    consumer.step(answers)
    assert [page["dropped"] for page in consumer.pages if page["dropped"]] == []
    world.drop("a")
    consumer.step(answers)
    assert consumer.pages[-1]["dropped"] == [{"component": "", "table": "a"}]
    while consumer.step(answers) != "upToDate":
        pass
    assert consumer.state == world.state
    answers.close()


def test_tables_of_the_system_and_of_what_is_not_deployed_stay(world: ExportWorld) -> None:
    world.insert("a", {"n": 1.0})
    world.insert("left", {"n": 1.0}, component="gone")
    world.transact(lambda tx: tx.namespace("", system=True).insert("_secrets", {"a": "canary"}))
    consumer = Consumer(world)
    consumer.settle()
    assert set(consumer.state) == {("", "a")}
    assert "canary" not in str(consumer.pages)


def test_a_cursor_is_good_for_as_long_as_the_changes_behind_it(tmp_path: Path) -> None:
    now = [10**18]
    world = ExportWorld(tmp_path / "data", clock_ns=lambda: now[0])
    world.insert("a", {"n": 1.0})
    quiet, busy = Consumer(world), Consumer(world)
    quiet.settle()
    busy.settle()
    now[0] += retention.REVISION_RETENTION_NS + 10**9
    while world.store.sweep():
        pass
    quiet.settle()  # nothing has happened since: nothing is forgotten
    world.insert("a", {"n": 2.0})
    busy.settle()
    assert busy.state == world.state
    world.insert("a", {"n": 3.0})
    now[0] += retention.REVISION_RETENTION_NS + 10**9
    while world.store.sweep():
        pass
    head, _ = busy.ask()
    assert (head.status, head.code) == (400, "DataSyncCursorExpired")
    anew = Consumer(world)
    anew.settle()
    assert anew.state == world.state
    world.close()


def test_only_cursors_of_this_deployment_open(world: ExportWorld, tmp_path: Path) -> None:
    world.insert("a", {"n": 1.0})
    consumer = Consumer(world)
    consumer.settle()
    good = consumer.cursor
    assert good is not None
    other = Answers(world.store.database, b"o" * 32)
    assert consumer.ask(other)[0].code == "InvalidDataSyncCursor"
    other.close()
    for bad in ("", "x", good[:-1], good + "A", good[5:], "ä" + good, good.swapcase()):
        consumer.cursor = bad
        assert consumer.ask()[0].code == "InvalidDataSyncCursor", bad
    ahead = seal(SECRET, SyncCursor("s", world.store.visible_ts + 1))
    consumer.cursor = ahead
    assert consumer.ask()[0].code == "InvalidDataSyncCursor"


def test_a_page_that_comes_again_does_no_harm(world: ExportWorld) -> None:
    ids = [world.insert("a", {"n": float(n)}) for n in range(5)]
    consumer = Consumer(world, page_size=3)
    consumer.step()
    cursor = consumer.cursor
    consumer.settle()
    world.write(lambda db: db.delete(ids[0]))
    world.write(lambda db: db.patch(ids[1], {"n": 9.0}))
    consumer.cursor, consumer.ts = cursor, {}  # the cursor was lost, the rows were not
    consumer.settle()
    assert consumer.state == world.state


def test_every_value_comes_as_export_json_has_it(world: ExportWorld) -> None:
    edges: dict[str, Any] = {
        "ints": [Int64(0), Int64(2**53 + 1), Int64(2**63 - 1), Int64(-(2**63))],
        "floats": [0.0, -0.0, 123.0, 1e300, 5e-324, math.inf, -math.inf],
        "bytes": [b"", b"\xff\0"],
        "text": ["", "\0", "ä€😀", '{"$integer":"AAAAAAAAAAA="}', '"},{"$float":"'],
        "none": None,
        "deep": [{"a": {"b": [Int64(1), True, {}]}}],
    }
    world.insert("a", edges)
    consumer = Consumer(world)
    consumer.settle()
    [read] = consumer.state["", "a"].values()
    assert read["ints"] == [0, 2**53 + 1, 2**63 - 1, -(2**63)]
    assert [type(each) for each in read["ints"]] == [int] * 4
    assert [str(each) for each in read["floats"][:3]] == ["0.0", "-0.0", "123.0"]
    assert read["floats"][5] == {"$float": "AAAAAAAA8H8="}
    assert read["bytes"] == [{"$bytes": ""}, {"$bytes": "/wA="}]
    assert consumer.state == world.state
