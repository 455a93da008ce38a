"""Data sync: what was emitted up to a consistent page is the data at that page's timestamp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from data_life import Life
from export_world import Consumer, ExportWorld, kept
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pyconvex.export.data_sync import PageLimits


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
