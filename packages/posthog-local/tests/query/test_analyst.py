"""The copy follows: in portions before the first question, at once after it, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from posthog_local.ingest.event import IncomingEvent
from posthog_local.query import analyst as of_analyst
from posthog_local.query.analyst import Analyst
from posthog_local.query.portion import Portion
from posthog_local.query.warehouse import Warehouse
from posthog_local.store.folder import Folder
from posthog_local.store.store import Store

pytest.importorskip("duckdb")
_DEADLINE_S = 20


def events(count: int) -> list[IncomingEvent]:
    return [
        IncomingEvent(uuid=str(uuid4()), event="e", distinct_id=f"u{n}", timestamp_us=n,
                      received_us=n, properties={})
        for n in range(count)
    ]  # fmt: skip


def with_analyst(data: Path, use: Callable[[Store, Analyst], Awaitable[None]]) -> None:
    async def main() -> None:
        folder = Folder(data)
        store = Store(folder)
        analyst = Analyst(store, data)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await use(store, analyst)
        finally:
            await analyst.close()
            await store.close()
            folder.close()

    asyncio.run(main())


async def count(analyst: Analyst) -> int:
    return int((await analyst.ask("SELECT count(*) FROM events")).rows[0][0])


def test_whole_portions_are_copied_before_anybody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_analyst, "ROWS_PER_PORTION", 10)
    taken = asyncio.Event()
    take = Warehouse.take

    def noting(self: Warehouse, portion: Portion) -> None:
        take(self, portion)
        loop.call_soon_threadsafe(taken.set)

    monkeypatch.setattr(Warehouse, "take", noting)
    loop: asyncio.AbstractEventLoop

    async def use(store: Store, analyst: Analyst) -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        following = asyncio.create_task(analyst.follow())
        await store.add_events(events(9))
        assert await files_opened(tmp_path) == 0
        await store.add_events(events(3))
        await taken.wait()
        assert (tmp_path / "posthog.duckdb").exists()
        store.changes.close()
        await following

    with_analyst(tmp_path, use)


async def files_opened(folder: Path) -> int:
    """0 while nothing was opened; a few turns of the loop are enough for that to show."""
    for _ in range(20):
        await asyncio.sleep(0)
    return int((folder / "posthog.duckdb").exists())


def test_who_leaves_in_the_middle_leaves_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Warehouse.take

    async def use(store: Store, analyst: Analyst) -> None:
        await store.add_events(events(5))
        assert await count(analyst) == 5
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def slow(self: Warehouse, portion: Portion) -> None:
            loop.call_soon_threadsafe(begun.set)
            take(self, portion)

        monkeypatch.setattr(Warehouse, "take", slow)
        await store.add_events(events(5))
        asking = asyncio.create_task(count(analyst))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await count(analyst) == 10

    with_analyst(tmp_path, use)


def test_ids_without_a_person_get_one_when_it_comes(tmp_path: Path) -> None:
    async def use(store: Store, analyst: Analyst) -> None:
        personless = [
            IncomingEvent(uuid=str(uuid4()), event="e", distinct_id="u", timestamp_us=0,
                          received_us=0, properties={"$process_person_profile": False})
            for _ in range(2)
        ]  # fmt: skip
        await store.add_events(personless)
        asked = "SELECT count(DISTINCT person_id), (SELECT count(*) FROM persons) FROM {view}"
        for view in ("events_of_person", "events_with_person"):
            assert (await analyst.ask(asked.format(view=view))).rows == [(1, 0)]
        await store.add_events(events(1))
        for view in ("events_of_person", "events_with_person"):
            assert (await analyst.ask(asked.format(view=view))).rows == [(2, 1)]
        links = "SELECT distinct_id FROM person_distinct_ids"
        assert (await analyst.ask(links)).rows == [("u0",)]

    with_analyst(tmp_path, use)
