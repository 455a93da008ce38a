"""What an action tells while it runs: in records of their own, and on disk before it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from pyconvex.identity import ANONYMOUS
from pyconvex.runlog import LogLine, Report, RunRecord
from pyconvex.runlog.entries import EXECUTION, LOG, entries_of, entry_id
from pyconvex.runlog.report import Item, encode_value
from pyconvex.runtime.answering.actions import Actions
from pyconvex.runtime.answering.reports import RunReports
from pyconvex.runtime.calls import FunctionCall, Outcome, Success
from pyconvex.runtime.isolates.runs import OnCall, Run, new_run
from pyconvex.runtime.processes import messages

SPAN = Item("a.span", "", encode_value(1), durable=True)


class Kept:
    """A log whose disk is slow: what must last does when the test says so."""

    def __init__(self) -> None:
        self.records: list[RunRecord] = []
        self.waiting: list[asyncio.Future[None]] = []

    def keep(self, record: RunRecord) -> Awaitable[None] | None:
        self.records.append(record)
        if not record.must_last:
            return None
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]


class OneAction:
    """A host in which one action runs, as the test says."""

    visible_ts = durable_ts = 1

    def __init__(self) -> None:
        self.run: Run | None = None

    async def wait_durable(self, ts: int) -> None:
        """Everything is."""

    def submit_action(self, call: FunctionCall, on_call: OnCall) -> Run:
        start = messages.Start(
            1, "action", "", call.path, b"{}", b"", "r", 0.0, b"", False, False, b"", None,
            execution_id="e",
        )  # fmt: skip
        self.run = new_run(start, on_call=on_call)
        return self.run

    async def run_any(self, call: FunctionCall) -> Outcome:
        raise AssertionError("it calls nothing")


async def begun() -> tuple[asyncio.Task[Outcome], Run, Kept]:
    kept, host = Kept(), OneAction()
    reports = RunReports(kept, lambda: 5.0)
    actions = Actions(host, None, reports)  # type: ignore[arg-type]  # not asked
    call = FunctionCall(
        kind="action",
        path="a:b",
        args=b"{}",
        identity=ANONYMOUS,
        request_id="r",
        origin="httpApi",
        public_only=False,
    )
    task = asyncio.create_task(actions.run(call))
    while host.run is None:
        await asyncio.sleep(0)
    return task, host.run, kept


def finished(*items: Item) -> messages.Finished:
    return messages.Finished(1, b"null", "", None, Report(items=items), True, b"")


def test_the_outcome_waits_for_what_was_told_before() -> None:
    async def test() -> None:
        task, run, kept = await begun()
        run.tell(messages.Told(1, (), (SPAN,), "ada"))
        run.tell(messages.Told(1, (LogLine("INFO", "on", 0.0),), ()))
        run.finish(finished())
        for _ in range(50):
            await asyncio.sleep(0)
        assert [record.going_on for record in kept.records] == [True, True, False]
        assert not task.done(), "the span would not survive a power cut yet"
        kept.waiting[0].set_result(None)
        assert isinstance(await task, Success)

    asyncio.run(test())


def test_entries_are_counted_over_all_records_of_an_execution() -> None:
    async def test() -> None:
        task, run, kept = await begun()
        run.tell(messages.Told(1, (LogLine("INFO", "one", 0.0),), (SPAN, SPAN), "ada"))
        run.tell(messages.Told(1, (), (SPAN,), "ada"))
        run.finish(finished(SPAN))
        while len(kept.records) < 3:
            await asyncio.sleep(0)
        for waiting in kept.waiting:
            waiting.set_result(None)
        await task
        kinds = frozenset({LOG, EXECUTION, SPAN.kind})
        entries = [entry for r in kept.records for entry in entries_of(r, kinds)]
        execution = entries[0].run.execution_id
        assert [e.id for e in entries] == [entry_id(execution, n) for n in range(1, 7)]
        assert [r.report.user_id for r in kept.records] == ["ada", "ada", None]

    asyncio.run(test())
