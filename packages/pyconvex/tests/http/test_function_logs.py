"""What ran lately, as clients that watch it read it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asking import ADMIN, Asking

from pyconvex.runlog import Item, LogLine, LogLines, Occ, Report, RunRecord, Usage
from pyconvex.runlog.recent import RecentRuns


def record(name: str = "x", **more: Any) -> RunRecord:
    return RunRecord(
        **{
            "ts_ms": 5000.0,
            "began_ms": 4000.0,
            "request_id": "r",
            "execution_id": name,
            "kind": "mutation",
            "path": "shop:buy",
            **more,
        }
    )


def entries(asking: Asking, cursor: float = 0, **headers: str) -> Any:
    answer = asking.get(f"/api/stream_function_logs?cursor={cursor}", **ADMIN, **headers)
    assert answer.status == 200
    return answer.json["entries"]


def test_who_begins_is_told_at_once_and_who_goes_on_is_told_what_is_new() -> None:
    asking = Asking()
    first = asking.get("/api/stream_function_logs?cursor=0", **ADMIN).json
    assert first == {"entries": [], "newCursor": 1000}
    for name in "ab":
        asking.recent.add(record(name))
    second = asking.get(f"/api/stream_function_logs?cursor={first['newCursor']}", **ADMIN).json
    assert [entry["executionId"] for entry in second["entries"]] == ["a", "b"]
    asking.recent.add(record("c"))
    assert [e["executionId"] for e in entries(asking, second["newCursor"])] == ["c"]
    assert len(entries(asking)) == 3


def test_an_execution_that_returned() -> None:
    asking = Asking()
    lines = LogLines(lambda: 4500.9)
    lines.add("warn", "it's")
    lines.within("mail:send", "mail").add("log", "x" * 40_000)
    usage = Usage(1, 2, 3, 4, 12.5, 7.5)
    asking.recent.add(
        record(
            reason="initialSubscription",
            component="stock",
            identity="user",
            result_bytes=9,
            report=Report(usage, tuple(lines.lines())),
        )
    )
    (entry,) = entries(asking, **{"convex-client": "npm-cli-1.48.0"})
    first, second = entry.pop("logLines")
    assert first == {
        "messages": [r"'it\'s'"],
        "level": "WARN",
        "timestamp": 4500,
        "isTruncated": False,
        "udfPath": None,
        "componentPath": None,
        "systemMetadata": None,
    }
    assert (second["isTruncated"], second["udfPath"]) == (True, "mail:send")
    assert second["messages"][0].endswith("xx")
    assert entry.pop("usageStats").items() >= {"databaseReadBytes": 2, "memoryUsedMb": 0}.items()
    assert entry == {
        "kind": "Completion",
        "udfType": "Mutation",
        "componentPath": "stock",
        "identifier": "shop:buy",
        "timestamp": 5.0,
        "requestId": "r",
        "executionId": "x",
        "cachedResult": False,
        "caller": "SyncWorker",
        "runReason": "initialSubscription",
        "parentExecutionId": None,
        "executionTime": 0.0125,
        "userExecutionTime": 0.0075,
        "success": {"status": None},
        "error": None,
        "returnBytes": 9,
        "occInfo": None,
        "willRetry": False,
        "executionTimestamp": 4.0,
        "identityType": "user",
        "environment": "isolate",
    }
    (plain,) = entries(asking, **{"convex-client": "python-0.7"})
    assert plain["logLines"][0] == r"[WARN] 'it\'s'"


def test_failures_conflicts_and_lines_of_what_goes_on() -> None:
    asking = Asking()
    asking.recent.add(record(error="Uncaught ValueError: no"))
    occ = Occ("notes", "id", "", 2, "stock/shelf")
    asking.recent.add(record(error="conflict", will_retry=True, occ=occ, component="stock"))
    told = Report(lines=(LogLine("LOG", "working", 1.0),))
    asking.recent.add(record(kind="action", going_on=True, report=told))
    failed, conflicted, progress = entries(asking)
    assert (failed["error"], failed["success"]) == ("Uncaught ValueError: no", None)
    assert failed["returnBytes"] is None
    assert conflicted["willRetry"]
    assert conflicted["occInfo"] == {
        "tableName": "notes",
        "documentId": "id",
        "writeSource": None,
        "componentPath": "stock/shelf",
        "retryCount": 2,
    }
    assert (progress["kind"], progress["logLines"]) == ("Progress", ["[LOG] 'working'"])
    assert "executionTime" not in progress


def test_only_administrators_and_only_numbers() -> None:
    asking = Asking()
    for wrong in ({}, {"authorization": "Convex x|bad"}):
        assert asking.get("/api/stream_function_logs", **wrong).refusal[0] == 403
    answer = asking.get("/api/stream_function_logs?cursor=x", **ADMIN)
    assert answer.refusal == (400, "BadCursor")


def test_who_waits_is_woken_by_the_next_or_by_the_end() -> None:
    async def main() -> None:
        recent = RecentRuns(lambda: 1000.0)
        waiting = [asyncio.create_task(recent.wait(recent.cursor, 60)) for _ in range(2)]
        await asyncio.sleep(0)
        recent.add(record())
        await asyncio.wait_for(asyncio.gather(*waiting), 10)
        await recent.wait(recent.cursor, 0)
        waiting = [asyncio.create_task(recent.wait(recent.cursor, 60))]
        await asyncio.sleep(0)
        recent.close()
        await asyncio.wait_for(waiting[0], 10)
        await asyncio.wait_for(recent.wait(recent.cursor, 60), 10)

    asyncio.run(main())


@pytest.mark.parametrize("times", [(1000.0,) * 5, (1000.0, 900.0, 2000.0, 1500.0, 1500.0)])
def test_cursors_grow_whatever_the_clock_does(times: tuple[float, ...]) -> None:
    clock = iter(times)
    recent = RecentRuns(lambda: next(clock), limit=3)
    seen = [recent.cursor]
    for name in "abcd":
        recent.add(record(name))
        seen.append(recent.cursor)
    assert seen == sorted(set(seen))
    assert [r.execution_id for r in recent.after(0)] == ["b", "c", "d"]
    assert [r.execution_id for r in recent.after(seen[-2])] == ["d"]


def test_what_is_kept_is_bounded_also_in_bytes() -> None:
    recent = RecentRuns(lambda: 1000.0, max_characters=1000)
    for name in "abc":
        lines = (LogLine("LOG", "x" * 300, 0.0),)
        items = (Item("a", "", b"y" * 5000),)
        recent.add(record(name, error="e" * 150, report=Report(lines=lines, items=items)))
    assert [r.execution_id for r in recent.after(0)] == ["b", "c"]
    assert all(r.report.items == () for r in recent.after(0))
    recent.add(record("huge", error="e" * 2000))
    assert recent.after(0) == []
    recent.add(record("d"))
    assert [r.execution_id for r in recent.after(0)] == ["d"]
