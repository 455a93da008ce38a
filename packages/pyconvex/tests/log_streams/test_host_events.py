"""What the host tells of itself: when, and through the same log as what functions tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streaming import Receiver, Streaming, on_a_server, until

from pyconvex.runlog import Report
from pyconvex.runtime.answering.concurrency import Concurrency, Peak
from pyconvex.runtime.isolates.runs import Run, new_run
from pyconvex.runtime.processes.messages import Finished, Start
from pyconvex.runtime.scheduling.scheduler import Lateness
from pyconvex.server.host_events import SchedulerWatch

STATS = ["scheduler_stats", "scheduled_job_lag", "concurrency_stats", "current_storage_usage",
         "log_stream_egress", "audit_log", "custom_audit"]  # fmt: skip


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_the_scheduler_is_news_at_first_then_every_half_minute_or_when_it_got_later() -> None:
    watch = SchedulerWatch()
    busy, idle = Lateness(0.0, 1), Lateness(0.0, 0)
    told = [
        watch.is_news(now, late)
        for now, late in [
            (0, idle), (5, busy), (10, busy), (34, busy), (35, busy), (40, Lateness(29.0, 1)),
            (45, Lateness(31.0, 1)), (50, idle), (55, busy),
        ]
    ]  # fmt: skip
    assert told == [False, True, False, False, True, False, True, False, True]


def run_of(kind: str) -> Run:
    fields: dict[str, Any] = dict.fromkeys(Start.__struct_fields__, "")
    return new_run(Start(**(fields | {"run_id": 1, "kind": kind, "announce": False})))


def test_peaks_of_what_runs_and_waits() -> None:
    async def main() -> None:
        counts = Concurrency()
        assert counts.take_peaks() == {}
        waiting, running = run_of("query"), run_of("query")
        running.begin(1.0)
        for run in (waiting, running):
            counts.count(run)
        lost = run_of("mutation")
        counts.count(lost)
        lost.fail(RuntimeError("gone before it began"))
        waiting.begin(2.0)
        waiting.begin(3.0)  # taken back, and begun again
        await asyncio.sleep(0)
        assert counts.take_peaks() == {"query": Peak(2, 1), "mutation": Peak(0, 1)}
        done = Finished(1, b"null", "", None, Report(), False, b"")
        for run in (waiting, running):
            run.finish(done)
        await asyncio.sleep(0)
        assert counts.take_peaks() == {"query": Peak(2, 0)}
        assert counts.take_peaks() == {}

    asyncio.run(main())


def test_streams_get_what_the_host_tells(tmp_path: Path, receiver: Receiver) -> None:
    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver, topics=STATS)
        telling = it.server.host_events
        await asyncio.gather(*(it.call("query", "shop:look") for _ in range(5)), it.say("a", "b"))
        telling.look_at_minute()
        await until(lambda: receiver.of("concurrency_stats"))
        (stats,) = receiver.of("concurrency_stats")
        assert stats["mutation"]["num_running"] >= 1
        assert stats["node_action"] == {"num_running": 0, "num_queued": 0}
        telling.look_at_minute()  # all quiet: one more, and then none
        await until(lambda: len(receiver.of("concurrency_stats")) == 2)
        telling.look_at_minute()
        await telling.look_at_storage()
        await until(lambda: receiver.of("current_storage_usage"))
        (usage,) = receiver.of("current_storage_usage")
        assert usage["total_system_table_document_size_bytes"]["_log_streams"] > 100
        assert usage["total_document_size_bytes"] == usage["total_file_storage_bytes"] == 0
        assert len(receiver.of("concurrency_stats")) == 2
        await it.call("mutation", "shop:keep", text="x" * 1000)
        await telling.look_at_storage()
        await until(lambda: len(receiver.of("current_storage_usage")) == 2)
        grown = receiver.of("current_storage_usage")[1]
        assert 1000 < grown["total_document_size_bytes"] < 1200
        assert grown["total_index_size_bytes"] > 10

    on_a_server(tmp_path, test)


def test_egress_counts_what_was_sent_but_for_news_of_itself(
    tmp_path: Path, receiver: Receiver
) -> None:
    async def test(it: Streaming) -> None:
        id = await it.add_webhook(receiver, topics=["log_stream_egress", "console"])
        await it.say("hello")
        while not (sent := (await it.delivery(id))["sentBytes"]):
            await asyncio.sleep(0.05)
        telling = it.server.host_events
        telling.look_at_minute()
        await until(lambda: receiver.of("log_stream_egress"))
        (egress,) = receiver.of("log_stream_egress")
        assert egress["egress_bytes"] == sent == len(receiver.bodies[1])
        while (await it.delivery(id))["sent"] != 2:
            await asyncio.sleep(0.05)
        telling.look_at_minute()
        await it.say("again")
        await until(lambda: len(receiver.lines) == 2)
        assert len(receiver.of("log_stream_egress")) == 1

    on_a_server(tmp_path, test)


def test_late_and_running_jobs(tmp_path: Path, receiver: Receiver) -> None:
    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver, topics=STATS)
        it.server.host_events.look_at_scheduler()
        await it.call("mutation", "shop:later", count=9)
        while it.server.host_events._lateness().lag_s <= 0:
            await asyncio.sleep(0.02)
        it.server.host_events.look_at_scheduler()
        await until(lambda: receiver.of("scheduler_stats"))
        (stats,) = receiver.of("scheduler_stats")
        assert stats["num_running_jobs"] == 8
        assert len(receiver.of("scheduled_job_lag")) == 1

    on_a_server(tmp_path, test)


def test_deploys_and_what_functions_audit(tmp_path: Path, receiver: Receiver) -> None:
    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver, topics=STATS)
        await it.server.redeploy()
        failed = await it.call("mutation", "shop:audited")
        assert failed["status"] == "error"
        await until(lambda: receiver.of("custom_audit"))
        assert [e["body"] for e in receiver.of("custom_audit")] == [{"refund": 7}]
        assert [e["audit_log_action"] for e in receiver.of("audit_log")][-1] == "push_config"

    on_a_server(tmp_path, test)
