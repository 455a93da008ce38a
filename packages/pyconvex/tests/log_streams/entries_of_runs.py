"""Entries of the run log as a reader finds them, made from records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pyconvex.log_streams import StreamEvent, event_of
from pyconvex.runlog import ExceptionReport, LogLine, Report, RunRecord, Usage
from pyconvex.runlog.entries import RunEntry, entries_of
from pyconvex.runlog.report import Item, encode_value

ALL = frozenset({"log", "exception", "execution", "convex.audit"})


def record(**changed: Any) -> RunRecord:
    fields: dict[str, Any] = {
        "ts_ms": 2000.5,
        "began_ms": 1987.9,
        "request_id": "a1b2c3d4e5f60718",
        "execution_id": "7c9e6679-7425-40de-944b-000000000001",
        "kind": "mutation",
        "path": "shop:buy",
        "reason": "webSocket",
        "args_bytes": 12,
        "result_bytes": 4,
        "report": Report(
            Usage(1, 100, 2, 50, 3.4, 3.0),
            (LogLine("INFO", "it's on", 1987.9),),
            user_id="ada",
            session_id="s1",
        ),
    }
    return RunRecord(**(fields | changed))


def failed(message: str = "Uncaught ValueError: no", **changed: Any) -> RunRecord:
    told = encode_value(ExceptionReport("e1", "ValueError", "no"))
    return record(error=message, result_bytes=0, report=Report(exception=told), **changed)


def entries(of: RunRecord, kinds: Iterable[str] = ALL) -> list[RunEntry]:
    return entries_of(of, frozenset(kinds))


def events(of: RunRecord, kinds: Iterable[str] = ALL) -> list[StreamEvent]:
    found = [event_of(entry) for entry in entries(of, kinds)]
    assert all(found)
    return [event for event in found if event is not None]


def host_record(topic: str, fields: dict[str, Any], ts_ms: float = 5000.0) -> RunRecord:
    item = Item(f"host.{topic}", "", encode_value({"topic": topic, **fields}))
    return record(kind="host", path="", ts_ms=ts_ms, report=Report(items=(item,)))


def lines(texts: Sequence[str], ts_ms: float = 1000.0) -> RunRecord:
    told = tuple(LogLine("LOG", text, ts_ms) for text in texts)
    return record(report=Report(lines=told, user_id="ada"))
