"""Data sync: what was emitted up to a consistent page is the data at that page's timestamp."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from export_world import Consumer, ExportWorld, State
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pyconvex.export.data_sync import PageLimits
from pyconvex.values import Int64

TABLES = [("", "a"), ("", "b"), ("mail", "a"), ("mail/deep", "c")]


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


class Life:
    """Random changes of a deployment."""

    def __init__(self, world: ExportWorld, random: Random) -> None:
        self.world = world
        self.random = random

    def change(self) -> None:
        component, table = self.random.choice(TABLES)
        kind = self.random.choices(
            ["many", "insert", "patch", "delete", "burst", "drop"], [3, 5, 5, 4, 1, 1]
        )[0]
        ids = list(self.world.state.get((component, table), {}))
        if kind == "drop":
            self.world.drop(table, component)
        elif kind in ("insert", "many", "burst") or not ids:
            count = {"many": 7, "burst": 40}.get(kind, 1)
            documents = [self.document() for _ in range(count)]
            self.world.write(
                lambda db: [db.insert(table, document) for document in documents], component
            )
        else:
            chosen = self.random.sample(ids, min(len(ids), self.random.randint(1, 5)))
            for_each = {"patch": self.patch, "delete": self.delete}[kind]
            self.world.write(lambda db: [for_each(db, id) for id in chosen], component)

    def patch(self, db: Any, id: str) -> None:
        db.patch(id, {"n": float(self.random.randint(0, 99))})

    def delete(self, db: Any, id: str) -> None:
        db.delete(id)

    def document(self) -> dict[str, Any]:
        return {
            "n": float(self.random.randint(0, 99)),
            "i": Int64(self.random.randint(-(2**63), 2**63 - 1)),
            "f": self.random.choice([math.inf, -0.0, 0.0, 1e300, 5e-324]),
            "b": self.random.randbytes(self.random.randint(0, 9)),
            "s": self.random.choice(["", "ä\n", '{"$integer":"BwAAAAAAAAA="}', "\0"]),
        }


def kept(state: State) -> State:
    """Without tables that hold nothing: a table that was never written to may not be there yet."""
    return {table: rows for table, rows in state.items() if rows}


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate])
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
    consumer = Consumer(world, tell_dropped=True)
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
