"""The events in Convex's schema: every flag of every topic, and what goes beside them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from entries_of_runs import entries, events, failed, host_record, record

from pyconvex.log_streams import StreamEvent, event_of, topics, v2, verification
from pyconvex.runlog import LogLine, Occ, Report, Usage
from pyconvex.runlog.entries import AUDIT
from pyconvex.runlog.lines import LogLines
from pyconvex.runlog.report import Item, encode_value


def wire(event: StreamEvent) -> Any:
    return json.loads(event.json())


def test_a_line_and_its_execution() -> None:
    console, execution = events(record())
    function = {
        "path": "shop:buy",
        "type": "mutation",
        "cached": None,
        "request_id": "a1b2c3d4e5f60718",
        "mutation_queue_length": None,
        "mutation_retry_count": 0,
    }
    assert wire(console) == {
        "topic": "console",
        "timestamp": 1987,
        "function": function,
        "log_level": "INFO",
        "message": "'it\\'s on'",
        "is_truncated": False,
        "system_code": None,
    }
    assert (console.text, console.ts_ms) == ("it's on", 1987.9)
    told = wire(execution)
    usage = told.pop("usage")
    assert told == {
        "topic": "function_execution",
        "timestamp": 2000,
        "function": function,
        "execution_time_ms": 13,
        "user_execution_time_ms": 3,
        "status": "success",
        "error_message": None,
        "occ_info": None,
        "will_retry": False,
        "scheduler_info": None,
        "run_reason": "webSocket",
    }
    assert usage["database_read_bytes"] == usage["database_io_read_bytes"] == 100
    assert usage["database_write_bytes"] == usage["database_io_write_bytes"] == 50
    assert (usage["database_read_documents"], usage["database_write_documents"]) == (1, 2)
    assert (usage["function_args_bytes"], usage["function_returns_bytes"]) == (12, 4)
    assert usage["action_memory_used_mb"] is None
    assert len(usage) == 20


def test_what_goes_beside_the_events_of_a_run() -> None:
    for event in events(record()):
        assert event.request_id == "a1b2c3d4e5f60718"
        assert event.trace_id == "b1e7cde893efc62d38832d7e07c7291e"
        assert event.execution_id == "7c9e6679-7425-40de-944b-000000000001"
        assert (event.user_id, event.session_id) == ("ada", "s1")
    assert len({event.id for event in events(record())}) == 2
    assert [e.id for e in events(record())] == [e.id for e in events(record())]


def test_a_call_that_came_with_a_trace_keeps_it() -> None:
    (event,) = events(record(trace_id="0af7651916cd43dd8448eb211c80319c"), {"log"})
    assert event.trace_id == "0af7651916cd43dd8448eb211c80319c"


def test_a_query_is_cached_or_not_and_a_mutation_is_neither() -> None:
    cached = events(record(kind="query", cached=True, report=Report()), {"execution"})[0]
    told = wire(cached)
    assert told["function"]["cached"] is True
    assert told["function"]["mutation_retry_count"] is None
    assert told["user_execution_time_ms"] is None
    fresh = events(record(kind="query"), {"execution"})[0]
    assert wire(fresh)["function"]["cached"] is False


def test_lines_of_components_and_of_nested_functions_bear_their_names() -> None:
    line = LogLine("ERROR", "x", 1.0, "mail:send", "mailer/child", truncated=True)
    own = LogLine("LOG", "{'a': 1}", 1.0, is_text=False)
    report = Report(lines=(line, own))
    nested, outer, execution = events(record(component="mailer", report=report))
    assert wire(nested)["function"]["path"] == "mail:send"
    assert wire(nested)["function"]["component_path"] == "mailer/child"
    assert wire(nested)["is_truncated"] is True
    assert wire(outer)["function"]["component_path"] == "mailer"
    assert wire(outer)["message"] == "{'a': 1}"
    assert wire(execution)["function"]["component_path"] == "mailer"
    told = wire(events(record(report=Report(lines=(_long_line(),))))[0])
    assert (told["is_truncated"], told["message"][-1]) == (True, "x"), "the flag says it"
    root = record(report=Report(lines=(LogLine("LOG", "x", 1.0, "mail:send", ""),)))
    assert "component_path" not in wire(events(root)[0])["function"]


def _long_line() -> LogLine:
    lines = LogLines()
    lines.add("log", "x" * 40_000)
    return lines.lines()[0]


def test_warnings_of_the_host_have_a_code_and_no_quotes() -> None:
    lines = LogLines()
    lines.warn_of_limit("TooManyReads", "Many 'reads'")
    (console, _) = events(record(report=Report(lines=tuple(lines.lines()))))
    told = wire(console)
    assert (told["system_code"], told["message"]) == ("warning:TooManyReads", "Many 'reads'")


def test_an_attempt_that_runs_again_is_no_failure_and_no_exception() -> None:
    conflict = record(
        error="Documents read changed", occ=Occ("things", "d1", "shop:add", 2), will_retry=True,
        retries=2,
    )  # fmt: skip
    (execution,) = events(conflict, {"execution", "exception"})
    told = wire(execution)
    assert (told["status"], told["error_message"], told["will_retry"]) == ("success", None, True)
    assert told["function"]["mutation_retry_count"] == 2
    assert told["occ_info"] == {
        "table_name": "things",
        "document_id": "d1",
        "write_source": "shop:add",
        "component_path": None,
        "retry_count": 2,
    }
    inside = record(occ=Occ("things", component="mailer/child"), will_retry=True)
    assert wire(events(inside, {"execution"})[0])["occ_info"]["component_path"] == "mailer/child"
    final = wire(events(failed("OCC", occ=Occ(retry_count=20)), {"execution"})[0])
    assert (final["status"], final["error_message"]) == ("failure", "OCC")
    assert final["occ_info"]["table_name"] is None


def test_a_failure_has_no_result_and_an_exception_goes_apart() -> None:
    exception, execution = events(failed(job_id="job7"))
    told = wire(execution)
    assert (told["status"], told["error_message"]) == ("failure", "Uncaught ValueError: no")
    assert told["usage"]["function_returns_bytes"] is None
    assert told["scheduler_info"] == {"job_id": "job7"}
    assert exception.topic == topics.EXCEPTION
    assert exception.exception is not None
    assert exception.exception.type == "ValueError"
    http = wire(events(record(kind="http_action", path="POST /hook"), {"execution"})[0])
    assert http["usage"]["function_args_bytes"] is http["usage"]["function_returns_bytes"] is None


HOST_EVENTS: dict[str, dict[str, Any]] = {
    "audit_log": {"audit_log_action": "push_config", "audit_log_metadata": "{}"},
    "scheduler_stats": {"lag_seconds": 3, "num_running_jobs": 1},
    "scheduled_job_lag": {"lag_seconds": 3},
    "concurrency_stats": {"query": {"num_running": 2, "num_queued": 1}},
    "current_storage_usage": {"total_document_size_bytes": 7, "total_index_size_bytes": 1},
    "log_stream_egress": {"egress_bytes": 12},
    "log_stream_events_dropped": {
        "dropped_events": 3, "total_dropped_events": 9, "reason": "swept"
    },
}  # fmt: skip


@pytest.mark.parametrize("topic", HOST_EVENTS)
def test_events_of_the_host_go_through_the_run_log(topic: str) -> None:
    of = host_record(topic, {"timestamp": 4000, **HOST_EVENTS[topic]})
    (event,) = events(of, {f"host.{topic}"})
    told = wire(event)
    assert (event.topic, event.ts_ms, event.run, event.trace_id) == (topic, 5000.0, None, "")
    assert told["timestamp"] == 4000
    assert told | HOST_EVENTS[topic] == told | {
        k: told[k] if isinstance(v, dict) else v for k, v in HOST_EVENTS[topic].items()
    }
    assert event.id
    assert events(of) == [], "nothing ran"


def test_what_a_function_audits() -> None:
    item = Item(AUDIT, "", encode_value({"who": [1, None]}))
    (event,) = events(record(report=Report(items=(item,))), {AUDIT})
    assert wire(event) == {
        "topic": "custom_audit", "timestamp": 2000, "body": {"who": [1, None]}
    }  # fmt: skip


def test_entries_of_a_later_version_are_passed_over() -> None:
    of = host_record("never_heard_of", {"timestamp": 1})
    assert [event_of(entry) for entry in entries(of, {"host.never_heard_of"})] == [None]


def test_a_verification() -> None:
    assert wire(verification(12.7)) == {
        "topic": "verification", "timestamp": 12, "message": "Convex connection test"
    }  # fmt: skip


def test_topics_and_kinds_of_entries() -> None:
    assert topics.entry_kinds(["console", "exception", "console"]) == ("exception", "log")
    assert topics.CUSTOM_AUDIT not in topics.ALL_BUT_AUDITS
    named = {struct.__struct_config__.tag for struct in v2.Event.__args__}
    internal = {"verification", topics.EXCEPTION, topics.EVENTS_DROPPED}
    assert named - internal == set(topics.SUBSCRIBABLE) - {topics.STORAGE_API_BANDWIDTH}


def test_times_are_whole_and_never_negative() -> None:
    backwards = record(began_ms=3000.0, report=Report(Usage(wall_ms=0.2)))
    assert wire(events(backwards)[0])["execution_time_ms"] == 0
    assert msgspec.json.decode(events(record())[0].json())["timestamp"] == 1987
