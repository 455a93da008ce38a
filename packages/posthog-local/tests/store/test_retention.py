"""Limits: what is too old or too much goes, a warning counts it, and nothing else is touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

from posthog_local.ingest.event import IncomingEvent
from posthog_local.logs.record import LogRecord
from posthog_local.replay.snapshot import RecordingPiece
from posthog_local.store import shelves
from posthog_local.store.folder import Folder
from posthog_local.store.reader import EventFilter
from posthog_local.store.retention import DAY_US, Limits, used_bytes
from posthog_local.store.shelves.logs import LogFilter
from posthog_local.store.shelves.warnings import StoredWarning
from posthog_local.store.store import Store
from posthog_local.testing import running

_NOW = 1000 * DAY_US


def event(name: str, day: float, **properties: object) -> IncomingEvent:
    at = int(day * DAY_US)
    return IncomingEvent(
        uuid=str(uuid4()), event=name, distinct_id="u", timestamp_us=0, received_us=at,
        properties=properties,
    )  # fmt: skip


def line(day: float) -> LogRecord:
    return LogRecord(
        timestamp_us=0, observed_us=int(day * DAY_US), severity="info", severity_number=9,
        service_name="s", body=f"day {day}", attributes={}, resource_attributes={}, scope="",
        event_name="", trace_id="", span_id="", distinct_id=None, session_id=None,
    )  # fmt: skip


def piece(day: float) -> RecordingPiece:
    return RecordingPiece(
        session_id=f"s{day:g}".replace(".", "-"), window_id="w", token="phc_a", distinct_id="u",
        source="web", items=(), received_us=int(day * DAY_US),
        first_ms=0, last_ms=1,  # that clock is not asked
        clicks=0, keypresses=0, console_errors=0, start_url=None,
    )  # fmt: skip


async def warnings(store: Store) -> list[StoredWarning]:
    return await store.read(lambda view: shelves.warnings.latest(view.connection, 10))


def with_store(use: Callable[[Store], Awaitable[None]], data: Path | None = None) -> None:
    async def main() -> None:
        folder = Folder(data)
        store = Store(folder)
        try:
            await use(store)
        finally:
            await store.close()
            folder.close()

    asyncio.run(main())


def names(store: Store) -> list[str]:
    return [one.event for one in store.reader.events(EventFilter(), 10_000)]


def test_what_came_long_ago_goes_and_is_counted() -> None:
    async def use(store: Store) -> None:
        old = [event("old", 980) for _ in range(1200)]
        trace = event("$ai_generation", 981, **{"$ai_trace_id": "t"})
        frame = {"type": "E", "value": "v"}
        error = event("$exception", 981, **{"$exception_list": [frame]})
        await store.add_events([*old, trace, error, event("young", 995)])
        await store.add_logs([line(980), line(995)])
        for day in (980, 995):
            await store.add_recording(piece(day))
        assert await store.sweep(Limits(keep_days=10), _NOW) == 1204
        assert names(store) == ["young"]
        logs = await store.read(lambda view: view.logs.latest(LogFilter(), 10))
        assert [one.record.body for one in logs] == ["day 995"]
        kept = await store.read(lambda view: view.recordings.latest(10))
        assert [one.session_id for one in kept] == ["s995"]
        assert await store.read(lambda view: view.events.latest_traces(10)) == []
        [issue] = await store.read(lambda view: view.issues.latest(10))
        assert issue.occurrences == 0
        assert store.reader.person("u") is not None
        [warning] = await warnings(store)
        assert warning.kind == "dropped_by_retention"
        assert warning.details == {
            "events": 1202, "logs": 1, "recording_pieces": 1, "keep_days": 10, "max_bytes": None,
        }  # fmt: skip
        assert await store.sweep(Limits(keep_days=10), _NOW) == 0

    with_store(use)


def test_numbers_go_on_when_everything_is_old(tmp_path: Path) -> None:
    async def first(store: Store) -> None:
        await store.add_events([event("a", 1), event("b", 1)])
        await store.sweep(Limits(keep_days=1), _NOW)
        assert names(store) == ["b"]

    async def second(store: Store) -> None:
        await store.add_events([event("c", 999.9)])
        await store.sweep(Limits(keep_days=1), _NOW)
        assert [one.seq for one in store.reader.events(EventFilter(), 10)] == [3]

    with_store(first, tmp_path)
    with_store(second, tmp_path)


def test_the_oldest_go_when_the_file_is_full() -> None:
    async def use(store: Store) -> None:
        blob = "x" * 2000
        await store.add_events([event(f"e{n}", 900 + n / 100, blob=blob) for n in range(3000)])
        full = await store.read(lambda view: used_bytes(view.connection))
        limits = Limits(max_bytes=full // 2)
        assert await store.sweep(Limits(max_bytes=full + 1), _NOW) == 0
        dropped = await store.sweep(limits, _NOW)
        left = await store.read(lambda view: used_bytes(view.connection))
        # At most one portion, of a page a row, goes beyond the room that is made.
        assert full * 0.45 - 500 * 4200 < left <= full * 0.45
        assert names(store) == [f"e{n}" for n in range(dropped, 3000)]
        assert await store.sweep(limits, _NOW) == 0
        assert (await warnings(store))[0].details["events"] == dropped

    with_store(use)


def test_the_oldest_shelf_is_swept_first() -> None:
    async def use(store: Store) -> None:
        await store.add_logs([line(10) for _ in range(2000)])
        await store.add_events([event("e", 20) for _ in range(20)])
        full = await store.read(lambda view: used_bytes(view.connection))
        assert await store.sweep(Limits(max_bytes=full - 1), _NOW) > 0
        assert len(names(store)) == 20

    with_store(use)


def test_a_running_server_looks_after_its_limits(tmp_path: Path) -> None:
    async def fill(store: Store) -> None:
        await store.add_events([event("old", 1), event("newest", 2)])

    with_store(fill, tmp_path)
    with running(data=tmp_path, arguments=["--keep-days", "5"]) as local:
        deadline = time.monotonic() + 10
        while not (found := local.warnings()) and time.monotonic() < deadline:
            pass  # each question takes its time
        assert found[0]["details"]["events"] == 1
        assert [one["event"] for one in local.events()] == ["newest"]
