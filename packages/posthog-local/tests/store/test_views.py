"""Questions on threads: one commit each, errors passed on, and never in ingestion's way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.ingest.event import IncomingEvent
from posthog_local.logs.record import LogRecord
from posthog_local.store.folder import Folder
from posthog_local.store.store import Store
from posthog_local.store.views import View


def event(name: str, distinct_id: str = "u", at: int = 0, **properties: object) -> IncomingEvent:
    return IncomingEvent(
        uuid=str(uuid4()),
        event=name,
        distinct_id=distinct_id,
        timestamp_us=at,
        received_us=at,
        properties=properties,
    )


def with_store(use: Callable[[Store], Awaitable[None]]) -> None:
    async def main() -> None:
        folder = Folder(None)
        store = Store(folder)
        try:
            await use(store)
        finally:
            await store.close()
            folder.close()

    asyncio.run(main())


def test_events_are_taken_while_a_question_is_answered_and_it_sees_none_of_them() -> None:
    async def use(store: Store) -> None:
        await store.add_events([event("before")])
        started, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def slow(view: View) -> tuple[int, int]:
            first = view.events.last_seq()
            loop.call_soon_threadsafe(started.set)
            assert go_on.wait(60)
            return first, view.events.last_seq()

        asked = asyncio.create_task(store.read(slow))
        await asyncio.wait_for(started.wait(), 10)
        await asyncio.wait_for(store.add_events([event("meanwhile")]), 10)
        go_on.set()
        assert await asked == (1, 1)
        assert await store.read(lambda view: view.events.last_seq()) == 2

    with_store(use)


def test_an_error_reaches_who_asked_and_the_next_question_is_answered() -> None:
    async def use(store: Store) -> None:
        def fails(view: View) -> None:
            view.events.last_seq()
            raise ValueError("no")

        for _ in range(10):
            with pytest.raises(ValueError, match="no"):
                await store.read(fails)
        assert await store.read(lambda view: view.events.last_seq()) == 0

    with_store(use)


@given(
    events=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=25),
    limit=st.integers(1, 12),
)
def test_a_timeline_is_the_newest_of_all_ids(events: list[tuple[str, int]], limit: int) -> None:
    async def use(store: Store) -> None:
        identify = event("$identify", "b", at=0, **{"$anon_distinct_id": "a"})
        rest = [event(f"{who}{at}", who, at) for who, at in events]
        await store.add_events([identify, *rest])
        whose = {"a", "b"}
        mine = [(one.timestamp_us, n) for n, one in enumerate([identify, *rest], 1)
                if one.distinct_id in whose]  # fmt: skip
        found = await store.read(lambda view: view.events.timeline("a", limit))
        assert [(one.timestamp_us, one.seq) for one in found] == sorted(mine)[-limit:]

    with_store(use)


def test_a_person_s_log_lines_are_the_newest_of_all_ids() -> None:
    def line(who: str | None, at: int) -> LogRecord:
        return LogRecord(
            timestamp_us=at, observed_us=at, severity="info", severity_number=9, service_name="s",
            body=f"{who}{at}", attributes={}, resource_attributes={}, scope="", event_name="",
            trace_id="", span_id="", distinct_id=who, session_id=None,
        )  # fmt: skip

    async def use(store: Store) -> None:
        await store.add_events([event("$identify", "b", **{"$anon_distinct_id": "a"})])
        await store.add_logs([line(who, at) for at in (3, 1, 2) for who in ("a", "b", "c", None)])
        found = await store.read(lambda view: view.logs.timeline("b", 3))
        assert [one.record.body for one in found] == ["b3", "a3", "b2"]

    with_store(use)
