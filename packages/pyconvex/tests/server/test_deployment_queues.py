"""Looking at rows that no receiver took, and moving them: bounded, whole, and in words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pyconvex.http.queues import QueueName
from pyconvex.runtime.calls import HostError
from pyconvex.server import queues
from pyconvex.server.queues import DeploymentQueues
from pyconvex.storage import END, Position, Proposal, QueueAppend, QueueBounds, Store

NAME = QueueName("events", "posthog")
QUEUE = 1


class Turns:
    """A host whose commits take their turn at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.changes = 0

    async def between_commits(self, work: Callable[[], int]) -> int:
        self.changes += 1
        ts = work()
        await self.wait_durable(ts)
        return ts

    async def wait_durable(self, ts: int) -> None:
        await self._store.wait_durable(ts)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder, bounds=QueueBounds(max_rows=6))
        self.turns = Turns(self.store)
        self.told: list[tuple[str, Any]] = []
        self.wakes = 0
        component: Any = SimpleNamespace(path="posthog", queues=["events"])
        app: Any = SimpleNamespace(components=[component])
        audit: Any = SimpleNamespace(tell=lambda action, about: self.told.append((action, about)))
        self.queues = DeploymentQueues(
            self.turns,
            self.store,
            audit,
            app=lambda: app,
            number=lambda component, name: QUEUE,
            lanes=lambda: (),
            wake=self.wake,
        )

    def wake(self) -> None:
        self.wakes += 1

    def refused(self, *bodies: bytes) -> list[Position]:
        """Rows that were queued, sent and refused."""
        places = []
        for body in bodies:
            [done] = self.store.append([Proposal(0, b"", appends=(QueueAppend(QUEUE, body),))])
            places.append(Position(done.ts, 0))
            self.store.set_aside(QUEUE, places[-1], "400: no")
        return places

    def page(self, before: Position = END, limit: int = 100) -> tuple[list[Any], bool]:
        found = asyncio.run(self.queues.set_aside_rows(NAME, before, limit))
        found = msgspec.json.decode(msgspec.json.encode(found))
        return found["rows"], found["more"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "data")
    yield made
    made.store.close()


def test_rows_move_in_bounded_transactions_until_the_queue_is_full(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "ROWS_AT_ONCE", 4)
    bench.refused(*(b"%d" % n for n in range(11)))
    assert asyncio.run(bench.queues.put_back(NAME, None)) == {"rows": 6, "left": 5}
    assert (bench.turns.changes, bench.wakes) == (2, 2)
    reader = bench.store.reader()
    ts = reader.begin().ts
    queued = [row.body for row in reader.queue_rows(QUEUE, limit=99, up_to_ts=ts)]
    reader.close()
    assert queued == [b"%d" % n for n in range(6)]
    assert [row["value"] for row in bench.page()[0]] == [10, 9, 8, 7, 6]
    about = {"component": "posthog", "queue": "events", "rows": 6}
    assert bench.told == [("retry_set_aside_rows", about)]
    [level] = asyncio.run(bench.queues.listed())
    assert (level["waiting"], level["setAside"], level["state"]) == (6, 5, "no lane runs")


def test_a_transaction_is_bounded_by_bytes_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "BYTES_AT_ONCE", 6)
    bench.refused(b'"aa"', b'"b"', b'"c"', b'"much too long"')
    assert asyncio.run(bench.queues.discard(NAME, None)) == {"rows": 4}
    assert bench.turns.changes == 3
    assert bench.told[0][0] == "discard_set_aside_rows"
    assert bench.page() == ([], False)


def test_a_page_ends_where_an_answer_would_be_too_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "PAGE_BYTES", 6)
    places = bench.refused(b'"aaaaaaaa"', b'"b"', b'"c"')
    rows, more = bench.page()
    assert ([row["value"] for row in rows], more) == (["c", "b"], True)
    rows, more = bench.page(before=places[1])
    assert ([row["value"] for row in rows], more) == (["aaaaaaaa"], False)
    rows, more = bench.page(limit=1)
    assert ([row["value"] for row in rows], more) == (["c"], True)


def test_a_row_that_is_no_value_is_shown_as_it_is(bench: Bench) -> None:
    bench.refused(b"\xff{", b'{"n":{"$integer":"AQAAAAAAAAA="}}')
    whole, broken = bench.page()[0]
    assert whole["value"] == {"n": {"$integer": "AQAAAAAAAAA="}}
    assert broken["base64"] == "/3s="
    assert "value" not in broken


@pytest.mark.parametrize("doing", ["put_back", "discard"])
def test_a_choice_that_names_a_row_that_is_not_there_changes_nothing(
    bench: Bench, doing: str
) -> None:
    [place] = bench.refused(b"1")
    with pytest.raises(HostError, match=r"^No row 5-5 of the queue posthog/events is set aside\."):
        asyncio.run(getattr(bench.queues, doing)(NAME, [place, Position(5, 5)]))
    assert (bench.turns.changes, bench.told, len(bench.page()[0])) == (0, [], 1)


def test_a_queue_that_no_component_declares_is_not_found(bench: Bench) -> None:
    with pytest.raises(HostError, match=r"no queue /tea\. The app's queues are: posthog/events\."):
        asyncio.run(bench.queues.set_aside_rows(QueueName("tea"), END, 1))
